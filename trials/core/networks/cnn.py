"""Two convolutional networks without normalisation layers: a small one for laptops and a larger one.

Batch normalisation would make the Jacobian of one sample depend on the others in its batch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch.nn.functional import avg_pool2d, conv2d, linear, max_pool2d, relu

from trials.core.networks.network import Network, layer_shapes

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    from trials.core.parameters import Parameters


def cnn_small(input_shape: tuple[int, ...], classes: int, *, second_channels: int = 32) -> Network:
    """Return CNN-S: two convolutions, of 16 and 32 channels, each halved by average pooling, and a linear readout.

    Raises:
        ValueError: The images are smaller than 4x4.
    """
    channels, pixels = _pooled_twice(input_shape)
    shapes = {
        **layer_shapes("conv1", (16, channels, 3, 3)),
        **layer_shapes("conv2", (second_channels, 16, 3, 3)),
        **layer_shapes("readout", (classes, second_channels * pixels)),
    }
    return Network(shapes=shapes, forward=_forward_small)


def cnn_large(input_shape: tuple[int, ...], classes: int) -> Network:
    """Return CNN-L: convolutions of 32, 64 and 64 channels, two max poolings, a hidden layer of 100, a readout.

    467,030 parameters on 3x32x32 images with 10 classes.

    Raises:
        ValueError: The images are smaller than 4x4.
    """
    channels, pixels = _pooled_twice(input_shape)
    shapes = {
        **layer_shapes("conv1", (32, channels, 3, 3)),
        **layer_shapes("conv2", (64, 32, 3, 3)),
        **layer_shapes("conv3", (64, 64, 3, 3)),
        **layer_shapes("hidden", (100, 64 * pixels)),
        **layer_shapes("readout", (classes, 100)),
    }
    return Network(shapes=shapes, forward=_forward_large)


def _forward_small(
    parameters: Parameters, images: Float[Tensor, "batch channels height width"]
) -> Float[Tensor, "batch classes"]:
    features = avg_pool2d(relu(_convolved(parameters, "conv1", images)), 2)
    features = avg_pool2d(relu(_convolved(parameters, "conv2", features)), 2)
    return linear(features.flatten(1), parameters["readout.weight"], parameters["readout.bias"])


def _forward_large(
    parameters: Parameters, images: Float[Tensor, "batch channels height width"]
) -> Float[Tensor, "batch classes"]:
    features = max_pool2d(relu(_convolved(parameters, "conv1", images)), 2)
    features = max_pool2d(relu(_convolved(parameters, "conv2", features)), 2)
    features = relu(_convolved(parameters, "conv3", features)).flatten(1)
    hidden = relu(linear(features, parameters["hidden.weight"], parameters["hidden.bias"]))
    return linear(hidden, parameters["readout.weight"], parameters["readout.bias"])


def _convolved(
    parameters: Parameters, layer: str, images: Float[Tensor, "batch channels height width"]
) -> Float[Tensor, "batch outputs height width"]:
    return conv2d(images, parameters[f"{layer}.weight"], parameters[f"{layer}.bias"], padding=1)


def _pooled_twice(input_shape: tuple[int, ...]) -> tuple[int, int]:
    """Return the channels of an image and its number of pixels after halving height and width twice."""
    channels, height, width = input_shape
    if min(height, width) < 4:
        raise ValueError(f"a convolutional network needs images of at least 4x4 pixels, got {height}x{width}")
    return channels, (height // 4) * (width // 4)
