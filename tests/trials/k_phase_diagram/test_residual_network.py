"""The linearised ResNet-18, which is no chain: by dual numbers, against finite differences, and in a trial."""

from __future__ import annotations

import pytest
import torch

from tests.trials.core.slopes import gradient_of
from trials.core.context import TrialContext
from trials.core.data.knobs import DataKnobs
from trials.core.linearisation import linearised
from trials.core.losses.classification import LOSSES
from trials.core.networks.resnet import resnet18
from trials.core.parameters import moved_to
from trials.core.rows import checked
from trials.core.streams import generator
from trials.k_phase_diagram.knobs import KPhaseKnobs
from trials.k_phase_diagram.measurements import MEASUREMENTS
from trials.k_phase_diagram.recipe import run

SHAPE, SAMPLES = (1, 8, 8), 4


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
def test_its_linearised_gradient_is_the_slope_of_the_linearised_loss(loss):
    network, random = resnet18(SHAPE, 3), generator(0, "problem")
    anchor = moved_to(network.initial(generator(0, "initialisation")), torch.device("cpu"), torch.float64)
    inputs = torch.randn(SAMPLES, *SHAPE, generator=random, dtype=torch.float64)
    labels = torch.tensor([0, 1, 2, 1])
    towards, moved = (
        {name: 0.01 * torch.randn(value.shape, generator=random, dtype=value.dtype) for name, value in anchor.items()}
        for _ in range(2)
    )
    point = {name: value + moved[name] for name, value in anchor.items()}
    model, step = linearised(network.forward, anchor), 1e-4

    def loss_at(length):
        return loss(model({name: value + length * towards[name] for name, value in point.items()}, inputs), labels)

    gradient = gradient_of(model, point, inputs, labels, loss)
    slope = sum((gradient[name] * towards[name]).sum() for name in anchor)
    torch.testing.assert_close(slope, (loss_at(step) - loss_at(-step)) / (2 * step), rtol=1e-6, atol=1e-9)
    tiny = {name: value + 1e-6 * towards[name] for name, value in anchor.items()}
    difference = network.forward(tiny, inputs) - network.forward(anchor, inputs)
    torch.testing.assert_close(model(tiny, inputs) - network.forward(anchor, inputs), difference, rtol=1e-3, atol=1e-9)


def test_a_trial_trains_it_in_rounds():
    knobs = KPhaseKnobs(
        network="resnet18",
        steps=4,
        feature_update_interval=2,
        batch_size=4,
        learning_rate=0.0003,
        data=DataKnobs(train_size=8, test_size=8),
    )
    rows = list(checked(run(knobs, TrialContext()), MEASUREMENTS))
    assert {row["method"] for row in rows} == {"jvp"}
    assert rows[-1]["train_loss_lin"] < rows[0]["train_loss_lin"]
    assert rows[-1]["param_dist"] > 0
