"""Networks that are chains of layers: the perceptron with ReLU, and a small and a larger convolutional network.

They have no normalisation layers: by batches, the Jacobian of one sample would depend on the others in its batch.
"""

from __future__ import annotations

import itertools
import math

from trials.core.networks.chain import chain
from trials.core.networks.fixed_layers import AveragePool, Flatten, MaxPool, Relu
from trials.core.networks.layers import Convolution, Layer, Linear
from trials.core.networks.network import Network


def mlp(input_shape: tuple[int, ...], classes: int, *, width: int, depth: int, bias: bool = True) -> Network:
    """Return a perceptron with `depth` hidden layers of `width` units; depth 0 is a linear classifier."""
    widths = [math.prod(input_shape), *[width] * depth]
    hidden: list[Layer] = []
    for number, (fan_in, fan_out) in enumerate(itertools.pairwise(widths), start=1):
        hidden += [Linear(f"hidden{number}", fan_in, fan_out, bias), Relu()]
    return chain(Flatten(len(input_shape)), *hidden, Linear("readout", widths[-1], classes, bias))


def cnn_small(input_shape: tuple[int, ...], classes: int, *, second_channels: int = 32) -> Network:
    """Return CNN-S: two convolutions, of 16 and 32 channels, each halved by average pooling, and a linear readout.

    Raises:
        ValueError: The inputs are no images of at least 4x4 pixels.
    """
    channels, pixels = _pooled_twice(input_shape)
    return chain(
        *(Convolution("conv1", channels, 16), Relu(), AveragePool()),
        *(Convolution("conv2", 16, second_channels), Relu(), AveragePool(), Flatten(3)),
        Linear("readout", second_channels * pixels, classes),
    )


def cnn_large(input_shape: tuple[int, ...], classes: int) -> Network:
    """Return CNN-L: convolutions of 32, 64 and 64 channels, two max poolings, a hidden layer of 100, a readout.

    467,030 parameters on 3x32x32 images with 10 classes.

    Raises:
        ValueError: The inputs are no images of at least 4x4 pixels.
    """
    channels, pixels = _pooled_twice(input_shape)
    return chain(
        *(Convolution("conv1", channels, 32), Relu(), MaxPool()),
        *(Convolution("conv2", 32, 64), Relu(), MaxPool()),
        *(Convolution("conv3", 64, 64), Relu(), Flatten(3)),
        *(Linear("hidden", 64 * pixels, 100), Relu()),
        Linear("readout", 100, classes),
    )


def _pooled_twice(input_shape: tuple[int, ...]) -> tuple[int, int]:
    """Return the channels of an image and its number of pixels after halving height and width twice."""
    if len(input_shape) != 3:
        raise ValueError(f"a convolutional network needs images, got inputs of shape {input_shape}")
    channels, height, width = input_shape
    if min(height, width) < 4:
        raise ValueError(f"a convolutional network needs images of at least 4x4 pixels, got {height}x{width}")
    return channels, (height // 4) * (width // 4)
