"""ResNet-18 with normalisation over groups of channels.

Batch normalisation would make the Jacobian of one sample depend on the others in its batch, and its running means would
be a state beside the parameters. Normalising groups of channels within a sample has neither.

Source: He et al., arXiv 1512.03385, section 4.2 (blocks, with the 3x3 stem usual for 32x32 images);
Wu and He, arXiv 1803.08494, section 3 (group normalisation).
"""

from __future__ import annotations

from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING

from torch import Tensor
from torch.nn.functional import conv2d, group_norm, linear, relu

from trials.core.networks.network import Network
from trials.core.parameters import Parameters

if TYPE_CHECKING:
    from jaxtyping import Float

STAGES = (64, 128, 256, 512)
_GROUPS = 16
_BLOCKS = 2


def resnet18(input_shape: tuple[int, ...], classes: int) -> Network:
    """Return ResNet-18: a stem, four stages of two blocks of two convolutions, mean over places, a readout.

    11,173,962 parameters on 3x32x32 images with 10 classes.

    Raises:
        ValueError: The inputs are no images.
    """
    if len(input_shape) != 3:
        raise ValueError(f"a convolutional network needs images, got inputs of shape {input_shape}")
    shapes = _convolution("stem", input_shape[0], STAGES[0], 3)
    for stage, (channels_in, channels) in enumerate(pairwise((STAGES[0], *STAGES)), start=1):
        for block in range(1, _BLOCKS + 1):
            name, entering = f"stage{stage}.block{block}", channels_in if block == 1 else channels
            shapes |= _convolution(f"{name}.first", entering, channels, 3)
            shapes |= _convolution(f"{name}.second", channels, channels, 3)
            if entering != channels:
                shapes |= _convolution(f"{name}.shortcut", entering, channels, 1)
    shapes |= {"readout.weight": (classes, STAGES[-1]), "readout.bias": (classes,)}
    scales = {name: 1.0 for name in shapes if name.endswith(".norm.weight")}
    shifts = {name: 0.0 for name in shapes if name.endswith(".norm.bias")}
    return Network(shapes=shapes, forward=_forward, features=_features, constants=scales | shifts)


def _convolution(name: str, channels_in: int, channels_out: int, side: int) -> dict[str, tuple[int, ...]]:
    """Return the shapes of a convolution without bias and of the normalisation after it."""
    norm = {f"{name}.norm.weight": (channels_out,), f"{name}.norm.bias": (channels_out,)}
    return {f"{name}.weight": (channels_out, channels_in, side, side), **norm}


def _forward(parameters: Parameters, images: Float[Tensor, "batch channels h w"]) -> Float[Tensor, "batch classes"]:
    return linear(_features(parameters, images), parameters["readout.weight"], parameters["readout.bias"])


def _features(parameters: Parameters, images: Float[Tensor, "batch channels h w"]) -> Float[Tensor, "batch 512"]:
    normalised = partial(_normalised, parameters)
    features = relu(normalised("stem", images))
    for stage in range(1, len(STAGES) + 1):
        for block in range(1, _BLOCKS + 1):
            name, stride = f"stage{stage}.block{block}", 2 if stage > 1 and block == 1 else 1
            inner = normalised(f"{name}.second", relu(normalised(f"{name}.first", features, stride)))
            passed = normalised(f"{name}.shortcut", features, stride) if stride > 1 else features
            features = relu(inner + passed)
    return features.mean((2, 3))


def _normalised(
    parameters: Parameters, name: str, images: Float[Tensor, "batch channels h w"], stride: int = 1
) -> Float[Tensor, "batch channels_out h_out w_out"]:
    weight = parameters[f"{name}.weight"]
    convolved = conv2d(images, weight, stride=stride, padding=weight.shape[-1] // 2)
    return group_norm(convolved, _GROUPS, parameters[f"{name}.norm.weight"], parameters[f"{name}.norm.bias"])
