"""Products in bfloat16: how far outputs and gradients may be from those of float32, and what stays exact."""

from __future__ import annotations

import pytest
import torch

from tests.trials.core.slopes import gradient_of
from trials.core.choices import HALF, TENSOR_FLOAT
from trials.core.context import TrialContext
from trials.core.data.knobs import DataKnobs
from trials.core.linearisation import linearised
from trials.core.losses.classification import LOSSES
from trials.core.networks.feedforward import cnn_small, mlp
from trials.core.networks.network import Network
from trials.core.networks.precision import PRECISIONS, in_precision, products_in
from trials.core.networks.resnet import resnet18
from trials.core.parameters import Parameters
from trials.core.rows import checked
from trials.core.streams import generator
from trials.k_phase_diagram.knobs import KPhaseKnobs
from trials.k_phase_diagram.measurements import MEASUREMENTS
from trials.k_phase_diagram.recipe import run, together_key

LOSS = LOSSES["cross_entropy"]
IMAGE = (3, 16, 16)
# bfloat16 has 8 bits: a number is rounded by up to 2^-9, and a unit near its kink may fall on the other side. Errors
# add up over the layers, of which ResNet-18 has most.
CASES = [(mlp((8, 8), 10, width=64, depth=2), (8, 8), 0.06), (cnn_small(IMAGE, 10), IMAGE, 0.06)]
CASES += [(resnet18(IMAGE, 10), IMAGE, 0.3)]
NAMED = pytest.mark.parametrize(("network", "shape", "tolerance"), CASES, ids=["mlp", "cnn_s", "resnet18"])


def examples(shape: tuple[int, ...]) -> tuple[torch.Tensor, torch.Tensor]:
    labels = torch.randint(0, 10, (16,), generator=generator(0, "labels"))
    return torch.randn(16, *shape, generator=generator(0, "inputs")), labels


def displaced(anchor: Parameters) -> Parameters:
    return {
        name: value + 0.05 * value.abs().mean() * torch.randn(value.shape, generator=generator(1, name))
        for name, value in anchor.items()
    }


def distance(some: Parameters, others: Parameters) -> float:
    """Return the distance relative to the norm of the others."""
    one, other = (torch.cat([value.flatten() for value in each.values()]) for each in (some, others))
    return float((one - other).norm() / other.norm())


@NAMED
def test_gradients_are_those_of_float32_within_rounding(
    network: Network, shape: tuple[int, ...], tolerance: float
) -> None:
    (inputs, labels), anchor = examples(shape), network.initial(generator(0, "initialisation"))
    half, whole = (linearised(in_precision(network, name).forward, anchor) for name in (HALF, "float32"))
    for point in (anchor, displaced(anchor)):
        gradient, expected = (gradient_of(model, point, inputs, labels, LOSS) for model in (half, whole))
        assert {value.dtype for value in gradient.values()} == {torch.float32}
        assert 0 < distance(gradient, expected) < tolerance


@NAMED
def test_the_first_step_of_a_round_is_a_plain_one(network: Network, shape: tuple[int, ...], tolerance: float) -> None:
    (inputs, labels), anchor = examples(shape), network.initial(generator(0, "initialisation"))
    forward = in_precision(network, HALF).forward
    leaves = {name: value.clone().requires_grad_() for name, value in anchor.items()}
    plain = torch.autograd.grad(LOSS(forward(leaves, inputs), labels), list(leaves.values()))
    gradient = gradient_of(linearised(forward, anchor), anchor, inputs, labels, LOSS)
    assert all(torch.equal(value, other) for value, other in zip(gradient.values(), plain, strict=True))


@pytest.mark.parametrize("precision", [name for name in PRECISIONS if name != HALF])
def test_other_precisions_leave_the_network_as_it_is(precision: str) -> None:
    network = cnn_small(IMAGE, 10)
    assert in_precision(network, precision) is network


def knobs(**changes: object) -> KPhaseKnobs:
    small = {"steps": 300, "width": 32, "feature_update_interval": 100, "data": DataKnobs(train_size=200)}
    return KPhaseKnobs(**{**small, **changes})  # type: ignore[arg-type]


def test_training_comes_to_the_same_end() -> None:
    half, whole, cached = (
        list(checked(run(knobs(**changes), TrialContext()), MEASUREMENTS))
        for changes in ({"precision": HALF, "round_method": "jvp"}, {}, {"precision": HALF, "round_method": "cached"})
    )
    assert half[-1]["train_loss_lin"] != whole[-1]["train_loss_lin"]
    for rows in (half, cached):
        assert rows[-1]["train_loss_lin"] == pytest.approx(whole[-1]["train_loss_lin"], rel=0.05)
        assert rows[-1]["test_acc_lin"] == pytest.approx(whole[-1]["test_acc_lin"], abs=0.02)


def test_a_kernel_is_no_sum_of_rounded_products() -> None:
    with pytest.raises(ValueError, match="round_method=function_space needs precision to be float32, float64 or tf32"):
        knobs(precision=HALF, round_method="function_space")
    methods = {
        row["method"] for row in run(knobs(precision=HALF, steps=3000, feature_update_interval=3000), TrialContext())
    }
    assert methods == {"jvp", "cached"}


def test_trials_in_half_precision_train_alone() -> None:
    assert together_key(knobs()) is not None
    assert together_key(knobs(precision=HALF)) is None


def settings() -> tuple[str, str]:
    return torch.backends.cuda.matmul.fp32_precision, torch.backends.cudnn.conv.fp32_precision


def test_float32_is_float32_on_gpus_and_the_process_is_left_as_it_was() -> None:
    before = settings()
    rows = run(knobs(steps=20), TrialContext())
    next(rows)
    assert settings() == ("ieee", "ieee")
    rows.close()
    assert settings() == before
    with products_in(TENSOR_FLOAT, torch.device("cuda")):
        assert settings() == ("tf32", "tf32")
    assert settings() == before


def test_a_cpu_has_no_tf32() -> None:
    with pytest.raises(
        ValueError, match="precision=tf32 needs a GPU, this trial is on a cpu: take float32 or bfloat16"
    ):
        next(run(knobs(precision=TENSOR_FLOAT), TrialContext()))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@NAMED
def test_gradients_by_tf32_are_those_of_float32_within_rounding(
    network: Network, shape: tuple[int, ...], tolerance: float
) -> None:
    """TF32 keeps 10 bits where bfloat16 keeps 7: an eighth of its tolerance."""
    device = torch.device("cuda")
    inputs, labels = (each.to(device) for each in examples(shape))
    anchor = {name: value.to(device) for name, value in network.initial(generator(0, "initialisation")).items()}
    point = {name: value.to(device) for name, value in displaced(network.initial(generator(0, "point"))).items()}
    gradients = {}
    for precision in (TENSOR_FLOAT, "float32"):
        with products_in(precision, device):
            gradients[precision] = gradient_of(linearised(network.forward, anchor), point, inputs, labels, LOSS)
    assert 0 < distance(gradients[TENSOR_FLOAT], gradients["float32"]) < tolerance / 8
