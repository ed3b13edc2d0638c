"""Gradients by compiled code: the same to rounding, in parameter space from the anchor anew and from what was kept."""

from __future__ import annotations

import pytest
import torch

from trials.core.choices import HALF
from trials.core.context import TrialContext
from trials.core.data.knobs import DataKnobs
from trials.core.gradients import compiled_network, linearised_gradient
from trials.core.losses.classification import LOSSES
from trials.core.networks.feedforward import cnn_large, cnn_small, mlp
from trials.core.networks.precision import in_precision
from trials.core.parameters import moved_to
from trials.core.rows import checked
from trials.core.streams import generator
from trials.k_phase_diagram.knobs import KPhaseKnobs
from trials.k_phase_diagram.measurements import MEASUREMENTS
from trials.k_phase_diagram.recipe import run, together_key

CPU, IMAGE = torch.device("cpu"), (3, 8, 8)
NETWORKS = {
    "mlp": mlp(IMAGE, 10, width=16, depth=2),
    "cnn_s": cnn_small(IMAGE, 10),
    "cnn_l": cnn_large(IMAGE, 10),
}


def knobs(**changes: object) -> KPhaseKnobs:
    small = {"steps": 200, "width": 32, "feature_update_interval": 100, "data": DataKnobs(train_size=200)}
    return KPhaseKnobs(**{**small, **changes})  # type: ignore[arg-type]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "loss_name"), [(name, "cross_entropy") for name in NETWORKS] + [("mlp", "mse")])
def test_compiled_gradients_are_the_others(name, loss_name):
    torch.compiler.reset()  # each case is compiled anew; PyTorch gives up after eight
    network, loss = NETWORKS[name], LOSSES[loss_name]
    chain, compiled = network.forward, compiled_network(network, wanted=True).forward
    anchor = moved_to(network.initial(generator(0, "initialisation")), CPU, torch.float64)
    random = generator(0, "problem")
    inputs = torch.randn(6, *IMAGE, generator=random, dtype=torch.float64)
    labels = torch.randint(10, (6,), generator=random)
    displacement = {
        key: 0.1 * torch.randn(value.shape, generator=random, dtype=value.dtype) for key, value in anchor.items()
    }
    opened = chain.opened(anchor, inputs)
    for moved in (None, displacement):
        expected = linearised_gradient(chain, anchor, moved, inputs, labels, loss.derivative())
        anew = linearised_gradient(compiled, anchor, moved, inputs, labels, loss.derivative())
        from_kept = linearised_gradient(compiled, anchor, moved, opened, labels, loss.derivative())
        for key, value in expected.items():
            torch.testing.assert_close(anew[key], value, rtol=0, atol=1e-10)
            torch.testing.assert_close(from_kept[key], value, rtol=0, atol=1e-10)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["jvp", "cached"])
def test_a_compiled_trial_has_the_rows_of_another(method):
    torch.compiler.reset()
    compiled, plain = (
        list(checked(run(knobs(compiled=wanted, round_method=method), TrialContext()), MEASUREMENTS))
        for wanted in (True, False)
    )
    for one, other in zip(compiled, plain, strict=True):
        assert one["step"] == other["step"]
        for column in ("train_loss_lin", "test_loss_net", "param_dist"):
            assert one[column] == pytest.approx(other[column], rel=1e-3, abs=1e-5)


@pytest.mark.slow
def test_products_in_bfloat16_are_compiled_too():
    torch.compiler.reset()
    half = in_precision(NETWORKS["mlp"], HALF)
    compiled = compiled_network(half, wanted=True)
    assert type(compiled.forward) is type(half.forward)
    anchor = half.initial(generator(0, "initialisation"))
    inputs, labels = torch.randn(6, *IMAGE, generator=generator(0, "inputs")), torch.arange(6)
    some, others = (
        linearised_gradient(each.forward, anchor, None, inputs, labels, LOSSES["cross_entropy"].derivative())
        for each in (compiled, half)
    )
    for key, value in others.items():
        torch.testing.assert_close(some[key], value, rtol=0.05, atol=0.02 * float(value.abs().max()))


def test_what_cannot_be_compiled_is_refused(monkeypatch):
    with pytest.raises(
        ValueError, match="compiled=true needs a network that is a chain of layers, mlp, cnn_s, cnn_l: resnet18 is none"
    ):
        knobs(network="resnet18", compiled=True)
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(ValueError, match=r"needs a C\+\+ compiler, and no-such-compiler is not on the PATH"):
        next(run(knobs(compiled=True), TrialContext()))
    assert compiled_network(NETWORKS["mlp"], wanted=False) is NETWORKS["mlp"]


def test_compiled_trials_train_alone():
    assert together_key(knobs()) is not None
    assert together_key(knobs(compiled=True)) is None
