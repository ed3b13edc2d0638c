"""Networks of images for training from scratch, as layer groups: small ones, and timm's for images of any size."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise
from types import MappingProxyType
from typing import Any

from torch import nn

from trials.augmentation_ratio.knobs import refuse_sides
from trials.core.layer_groups.groups import LayerGroups

_WIDTHS = (12, 24, 48)
_PUBLISHED_SIDE, _PUBLISHED_PATCH, _SMALL_PATCH = 224, 16, 4

Shape = tuple[int, ...]


def mlp_groups(shape: Shape, classes: int, *, width: int = 128) -> LayerGroups:
    """Return a perceptron of one hidden layer."""
    channels, height, side = shape
    hidden = nn.Sequential(nn.Flatten(), nn.Linear(channels * height * side, width), nn.ReLU())
    return LayerGroups({"hidden": hidden, "head": nn.Linear(width, classes)})


def cnn3_groups(shape: Shape, classes: int) -> LayerGroups:
    """Return three convolutions of widths 12, 24 and 48, each normalised and halved, and a linear readout.

    Raises:
        ValueError: The sides of the images cannot be halved three times.
    """
    channels, height, width = shape
    refuse_sides("cnn3", height, width)
    parts: dict[str, nn.Module] = {}
    for number, (entering, leaving) in enumerate(pairwise((channels, *_WIDTHS)), start=1):
        convolution = nn.Conv2d(entering, leaving, 3, padding=1, bias=False)
        parts[f"block {number}"] = nn.Sequential(convolution, nn.BatchNorm2d(leaving), nn.ReLU(), nn.MaxPool2d(2))
    head = nn.Sequential(nn.Flatten(), nn.Linear(_WIDTHS[-1] * (height // 8) * (width // 8), classes))
    return LayerGroups({**parts, "head": head})


def resnet18_groups(shape: Shape, classes: int) -> LayerGroups:
    """Return timm's ResNet-18, 11,181,642 parameters for 3 channels and 10 classes."""
    return _timm_groups("resnet18", classes, in_chans=shape[0])


def resnet18_cifar_groups(shape: Shape, classes: int) -> LayerGroups:
    """Return ResNet-18 that does not shrink small images at once: its stem is 3x3 with stride 1 and no pooling."""
    groups = resnet18_groups(shape, classes)
    trunk: Any = groups.get_submodule("trunk")
    trunk.conv1 = nn.Conv2d(shape[0], 64, 3, padding=1, bias=False)
    nn.init.kaiming_normal_(trunk.conv1.weight, mode="fan_out", nonlinearity="relu")
    trunk.maxpool = nn.Identity()
    return groups


def vit_tiny_groups(shape: Shape, classes: int) -> LayerGroups:
    """Return ViT-Ti, 5,362,762 parameters on 3x32x32 images with 10 classes, 5,526,346 on 3x224x224."""
    return _transformer("vit_tiny_patch16_224", shape, classes)


def cait_xxs36_groups(shape: Shape, classes: int) -> LayerGroups:
    """Return CaiT-XXS36, 16,945,066 parameters on 3x32x32 images with 10 classes, 17,108,650 on 3x224x224."""
    return _transformer("cait_xxs36_224", shape, classes)


def _transformer(name: str, shape: Shape, classes: int) -> LayerGroups:
    """Return a transformer with patches of 4 pixels; of 16, as published, from 224 pixels on."""
    channels, height, width = shape
    patch = _PUBLISHED_PATCH if height >= _PUBLISHED_SIDE else _SMALL_PATCH
    if height % patch or width % patch:
        raise ValueError(f"{name} needs images of a multiple of {patch} pixels, got {height}x{width}")
    groups = _timm_groups(name, classes, in_chans=channels, img_size=(height, width), patch_size=patch)
    head: Any = groups.last_part
    nn.init.trunc_normal_(head.weight, std=0.02)
    nn.init.zeros_(head.bias)
    return groups


def _timm_groups(name: str, classes: int, **settings: Any) -> LayerGroups:
    import timm

    trunk = timm.create_model(name, num_classes=0, **settings)
    return LayerGroups({"trunk": trunk, "head": nn.Linear(trunk.num_features, classes)})


IMAGE_NETWORKS: Mapping[str, Callable[[Shape, int], LayerGroups]] = MappingProxyType(
    {
        "mlp": mlp_groups,
        "cnn3": cnn3_groups,
        "resnet18_cifar": resnet18_cifar_groups,
        "resnet18": resnet18_groups,
        "vit_tiny": vit_tiny_groups,
        "cait_xxs36": cait_xxs36_groups,
    }
)
