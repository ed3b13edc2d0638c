"""Backbones: networks by name as layer groups, with what each expects of its images.

Images stay bytes until a network's first part, which begins with the scale that the weights expect; a cached prefix
includes it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import torch

from trials.core.data.records import data_set
from trials.core.layer_groups.own import own_groups
from trials.core.layer_groups.residual import residual_groups
from trials.core.values import is_own
from trials.freeze_depth.networks.chains import IMAGENET_DEVIATION, IMAGENET_MEAN, LIBRARIES, Backbone
from trials.freeze_depth.networks.known import CLIP_B16, VIT_TINY, VitShape, known
from trials.freeze_depth.networks.lite0 import lite0_groups
from trials.freeze_depth.networks.vit import EMBEDDINGS, vit_groups

if TYPE_CHECKING:
    from torch import Tensor, nn

CHANNELS = 3
_CLIP_MEAN, _CLIP_DEVIATION = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
_CIFAR10 = data_set("cifar10")
_SMALL_IMAGES = (_CIFAR10.mean,) * CHANNELS, (_CIFAR10.deviation,) * CHANNELS


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """What a network can be given beside its name.

    Attributes:
        classes: Outputs.
        width: Channels of the first stage; resnet only.
        blocks: Residual blocks a stage; resnet only.
        pretrained: Whether a library's network comes with its library's weights.
        side: Pixels of the images' sides; a network of a user's own alone is made for them.
    """

    classes: int
    width: int = 16
    blocks: int = 1
    pretrained: bool = False
    side: int = 0


def _resnet(sizes: Sizes) -> Backbone:
    groups = residual_groups(CHANNELS, sizes.classes, width=sizes.width, blocks=sizes.blocks)
    return Backbone(groups=groups, mean=_SMALL_IMAGES[0], deviation=_SMALL_IMAGES[1])


def _lite0(sizes: Sizes) -> Backbone:
    return Backbone(groups=lite0_groups(sizes.classes), mean=IMAGENET_MEAN, deviation=IMAGENET_DEVIATION)


def _vit(shape: VitShape, mean: tuple[float, ...], deviation: tuple[float, ...]) -> Callable[[Sizes], Backbone]:
    return lambda sizes: Backbone(
        groups=vit_groups(CHANNELS, sizes.classes, shape),
        mean=mean,
        deviation=deviation,
        side=shape.side,
        embeddings=EMBEDDINGS,
    )


_BUILDERS: Mapping[str, Callable[[Sizes], Backbone]] = MappingProxyType(
    {
        "resnet": _resnet,
        "lite0": _lite0,
        "clip_vit_b16": _vit(CLIP_B16, _CLIP_MEAN, _CLIP_DEVIATION),
        "vit_tiny": _vit(VIT_TINY, *_SMALL_IMAGES),
    }
)


def built(name: str, sizes: Sizes) -> Backbone:
    """Return a network by name, its weights drawn from PyTorch's global generator.

    Raises:
        ValueError: There is no such network.
    """
    if known(name):
        return _BUILDERS[name](sizes)
    if is_own(name):
        groups = own_groups(name, (CHANNELS, sizes.side, sizes.side), sizes.classes)
        return Backbone(groups=groups, mean=_SMALL_IMAGES[0], deviation=_SMALL_IMAGES[1])
    library, _, inner = name.partition("/")
    return LIBRARIES[library](inner, sizes.classes, pretrained=sizes.pretrained)


def take_bytes(backbone: Backbone, largest: float) -> None:
    """Let the network's first part begin with scaling images of whole numbers.

    It is a hook and no module, so that the parameters keep their names. The network must be on its device, and is
    changed in place; `largest` is the value of white.
    """
    # Moved here once: a copy to a GPU in every step would wait for it.
    device = next(backbone.groups.parameters()).device
    mean, deviation = (torch.tensor(of, device=device)[:, None, None] for of in (backbone.mean, backbone.deviation))

    def scaled(module: nn.Module, inputs: tuple[Any, ...]) -> tuple[Tensor]:
        return ((inputs[0].float() / largest - mean) / deviation,)

    backbone.groups.get_submodule(backbone.groups.names[0]).register_forward_pre_hook(scaled)
