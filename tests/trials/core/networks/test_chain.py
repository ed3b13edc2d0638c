"""Chains of layers: the derivative in reverse against the one forwards and against PyTorch's tape, what passes keep."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import avg_pool2d

from trials.core.networks.chain import Chain, joined
from trials.core.networks.feedforward import cnn_large, cnn_small, mlp
from trials.core.networks.fixed_layers import AveragePool, Flatten, MaxPool, Relu
from trials.core.networks.layers import Convolution, Linear
from trials.core.parameters import moved_to
from trials.core.streams import generator

SAMPLES, CLASSES = 5, 3
NETWORKS = {
    "mlp": (mlp((7,), CLASSES, width=6, depth=2), (7,)),
    "mlp without bias": (mlp((7,), CLASSES, width=6, depth=2, bias=False), (7,)),
    "linear": (mlp((7,), CLASSES, width=6, depth=0), (7,)),
    "cnn_s": (cnn_small((2, 8, 8), CLASSES), (2, 8, 8)),
    "cnn_l": (cnn_large((2, 8, 8), CLASSES), (2, 8, 8)),
}
# 7x6 has an odd side, whose last row no square of 2x2 covers: its inputs have no influence.
POOLS = {
    pool.__name__: Chain((Convolution("conv", 2, 4), Relu(), pool(), Flatten(3), Linear("readout", 4 * 3 * 3, CLASSES)))
    for pool in (AveragePool, MaxPool)
}


def _of(forward, shapes, shape):
    """Return float64 parameters, a displacement, inputs and a sensitivity."""
    random = generator(0, "chain")

    def drawn(size):
        return torch.randn(size, generator=random, dtype=torch.float64)

    parameters, displacement = ({name: drawn(size) for name, size in shapes.items()} for _ in range(2))
    return parameters, displacement, drawn((SAMPLES, *shape)), drawn((SAMPLES, CLASSES))


def _cases():
    for name, (network, shape) in NETWORKS.items():
        yield pytest.param(network.forward, network.shapes, shape, id=name)
    for name, forward in POOLS.items():
        shapes = {key: size for layer in forward.layers for key, size in layer.shapes.items()}
        yield pytest.param(forward, shapes, (2, 7, 6), id=f"{name} of an odd side")


@pytest.mark.parametrize(("forward", "shapes", "shape"), list(_cases()))
def test_the_derivative_in_reverse_is_the_transpose_of_the_one_forwards_and_that_of_the_tape(forward, shapes, shape):
    anchor, displacement, inputs, sensitivity = _of(forward, shapes, shape)
    opened = forward.opened(anchor, inputs)
    pulled = forward.pulled_back(anchor, opened.kept, sensitivity)
    forwards = (forward.tangent(anchor, opened.kept, displacement) * sensitivity).sum()
    backwards = sum((pulled[name] * displacement[name]).sum() for name in anchor)
    torch.testing.assert_close(forwards, backwards, rtol=1e-12, atol=0)
    leaves = {name: value.clone().requires_grad_() for name, value in anchor.items()}
    forward(leaves, inputs).backward(sensitivity)
    assert list(pulled) == list(anchor)
    for name, leaf in leaves.items():
        torch.testing.assert_close(pulled[name], leaf.grad, rtol=1e-12, atol=1e-12)


def test_no_derivative_passes_below_the_first_layer_with_parameters():
    seen = []

    class Watched(Flatten):
        def pulled_back(self, anchor, kept, sensitivity, *, further):
            seen.append("pulled back")
            return super().pulled_back(anchor, kept, sensitivity, further=further)

    forward = Chain((Watched(2), Linear("readout", 6, CLASSES)))
    anchor, _, inputs, sensitivity = _of(forward, forward.layers[1].shapes, (2, 3))
    forward.pulled_back(anchor, forward.opened(anchor, inputs).kept, sensitivity)
    assert not seen


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("sides", [(8, 8), (7, 6), (2, 9)])
def test_means_of_squares_are_pytorchs_to_the_last_bit(sides, dtype):
    images = torch.randn(4, 3, *sides, generator=generator(0, "images"), dtype=dtype)
    with torch.no_grad():
        assert torch.equal(AveragePool().outputs({}, images), avg_pool2d(images, 2))


def test_what_two_layers_keep_is_selected_once():
    network, shape = NETWORKS["mlp"]
    anchor, _, inputs, _ = _of(network.forward, network.shapes, shape)
    opened = network.forward.opened(moved_to(anchor, inputs.device, inputs.dtype), inputs)
    chosen = opened.at(torch.tensor([3, 1]))
    relu, readout = opened.kept[2], opened.kept[3]
    assert relu[0] is readout[0], "the next layer keeps the very outputs of the ReLU"
    assert chosen.kept[2][0] is chosen.kept[3][0]
    torch.testing.assert_close(chosen.kept[3][0], readout[0][[3, 1]], rtol=0, atol=0)
    halves = [network.forward.opened(anchor, half) for half in inputs.split(3)]
    whole = joined(halves, torch.cat)
    assert whole.kept[2][0] is whole.kept[3][0]
    torch.testing.assert_close(whole.outputs, opened.outputs, rtol=1e-12, atol=0)
