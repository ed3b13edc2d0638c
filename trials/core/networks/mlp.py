"""The multilayer perceptron with ReLU."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING

from trials.core.networks.chain import chain
from trials.core.networks.fixed_layers import Flatten, Relu
from trials.core.networks.layers import Linear
from trials.core.networks.network import Network

if TYPE_CHECKING:
    from trials.core.networks.layers import Layer


def mlp(input_shape: tuple[int, ...], classes: int, *, width: int, depth: int, bias: bool = True) -> Network:
    """Return a perceptron with `depth` hidden layers of `width` units; depth 0 is a linear classifier."""
    widths = [math.prod(input_shape), *[width] * depth]
    hidden: list[Layer] = []
    for number, (fan_in, fan_out) in enumerate(itertools.pairwise(widths), start=1):
        hidden += [Linear(f"hidden{number}", fan_in, fan_out, bias), Relu()]
    return chain(Flatten(len(input_shape)), *hidden, Linear("readout", widths[-1], classes, bias))
