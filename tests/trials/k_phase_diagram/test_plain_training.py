"""Updating features at every step is the plain optimizer: parameters at every step, against PyTorch's own modules."""

from __future__ import annotations

import itertools

import pytest
import torch

from trials.core.checkpoints import State
from trials.core.context import TrialContext
from trials.core.data.knobs import DataKnobs
from trials.core.streams import generator
from trials.core.training.batches import epochs
from trials.k_phase_diagram.knobs import KPhaseKnobs
from trials.k_phase_diagram.preparation import NETWORKS
from trials.k_phase_diagram.recipe import run

STEPS = 200
OPTIMIZERS = {
    "sgd": ({"learning_rate": 0.3}, torch.optim.SGD, {}),
    "momentum": ({"learning_rate": 0.02, "weight_decay": 0.01}, torch.optim.SGD, {"momentum": 0.9}),
    "adam": ({"learning_rate": 0.003, "weight_decay": 0.01}, torch.optim.Adam, {}),
}


class EveryStep:
    """Checkpoints that keep the parameters at the beginning of every step and begin nothing."""

    def __init__(self) -> None:
        self.parameters: list[torch.Tensor] = []

    def restored(self, device: torch.device) -> None:
        return None

    def offer(self, step: int, state, *, last: bool) -> None:
        told: State = state()
        self.parameters.append(torch.cat([value.flatten() for value in told["training"]["now"]["point"].values()]))


def _knobs(optimizer, **changes):
    small = {"steps": STEPS, "width": 16, "batch_size": 8, "probe_size": 0, "precision": "float64"}
    own, _, _ = OPTIMIZERS[optimizer]
    return KPhaseKnobs(**{**small, "optimizer": optimizer, "data": DataKnobs(train_size=40), **own, **changes})


def _trajectory(context, knobs):
    """Return the parameters before every step and after the last, (steps + 1, parameters), and the steps of rows."""
    kept = EveryStep()
    rows = list(run(knobs, TrialContext(arrays=context.arrays, checkpoints=kept)))
    return torch.stack(kept.parameters), [row["step"] for row in rows]


def _plain_trajectory(context, knobs):
    """Train a torch.nn.Module by torch.optim from the same weights on the same batches."""
    dtype = getattr(torch, knobs.precision)
    train, _ = (examples.to(dtype) for examples in context.data(knobs.data))
    sizes = [train.inputs[0].numel(), *[knobs.width] * knobs.depth, train.classes]
    layers = [(torch.nn.Linear(*pair), torch.nn.ReLU()) for pair in itertools.pairwise(sizes)]
    module = torch.nn.Sequential(torch.nn.Flatten(), *list(itertools.chain(*layers))[:-1]).to(dtype)
    network = NETWORKS["mlp"](tuple(train.inputs.shape[1:]), train.classes, knobs)
    initial = network.initial(generator(knobs.seed, "initialisation"))
    module.load_state_dict(dict(zip(module.state_dict(), initial.values(), strict=True)))
    _, theirs, settings = OPTIMIZERS[knobs.optimizer]
    optimizer = theirs(module.parameters(), lr=knobs.learning_rate, weight_decay=knobs.weight_decay, **settings)
    trajectory = [torch.nn.utils.parameters_to_vector(module.parameters()).detach().clone()]
    for step in range(knobs.steps):
        batch = epochs(knobs.seed, len(train), knobs.batch_size)(step)
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(module(train.inputs[batch]), train.labels[batch]).backward()
        optimizer.step()
        trajectory.append(torch.nn.utils.parameters_to_vector(module.parameters()).detach().clone())
    return torch.stack(trajectory)


def _apart(trajectory, expected):
    """Return the largest distance at any step over the distance moved from the start by the end."""
    return float((trajectory - expected).norm(dim=1).max() / (expected[-1] - expected[0]).norm())


@pytest.mark.parametrize(("precision", "tolerance"), [("float32", 1e-4), ("float64", 1e-12)])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_an_update_at_every_step_is_the_optimizer_itself(context, optimizer, precision, tolerance):
    """At every step, which includes those of rows; K = 7 differs, or the test had no power."""
    knobs = _knobs(optimizer, precision=precision)
    expected = _plain_trajectory(context, knobs)
    trajectory, measured = _trajectory(context, knobs)
    assert len(trajectory) == len(expected) == measured[-1] + 1
    assert _apart(trajectory, expected) < tolerance
    # Not to the end: at the rate of SGD here, K = 7 blows up.
    seldom, _ = _trajectory(context, _knobs(optimizer, precision=precision, feature_update_interval=7, steps=60))
    assert _apart(seldom, expected[:61]) > 1e-3


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_forgetting_the_optimizers_state_at_every_step_is_another_training_but_for_sgd(context, optimizer):
    kept, _ = _trajectory(context, _knobs(optimizer, steps=40))
    forgotten, _ = _trajectory(context, _knobs(optimizer, steps=40, reset_optimizer_on_relinearisation=True))
    assert (_apart(forgotten, kept) > 1e-2) == (optimizer != "sgd")
    if optimizer == "sgd":
        assert torch.equal(forgotten, kept)
