"""Steps that no row describes read nothing from the device: a read would make the host wait for all queued work."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from trials.core.context import TrialContext
from trials.core.data.knobs import DataKnobs
from trials.core.rows import Diverged
from trials.gauss_newton_damping.knobs import DampingKnobs
from trials.gauss_newton_damping.recipe import run as run_damped
from trials.k_phase_diagram.knobs import KPhaseKnobs
from trials.k_phase_diagram.recipe import run, run_many, together_key

WAITING = frozenset({"_local_scalar_dense", "nonzero", "is_nonzero", "equal", "masked_select", "_unique2"})
"""Operations of which the host needs the values: numbers, and tensors whose shape depends on them."""


class Reads(TorchDispatchMode):
    """Counts what makes a host wait for its device, on the CPU too."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, function: Any, types: Any, arguments: Any = (), keywords: Any = None) -> Any:
        self.count += function.overloadpacket.__name__ in WAITING
        return function(*arguments, **(keywords or {}))


def reads_by_row(**changes: Any) -> list[tuple[int, int]]:
    """Return for each row of a training how many steps it took since the last, and how many reads."""
    small = {"steps": 1000, "width": 16, "batch_size": 8, "measurements_per_decade": 3}
    knobs = KPhaseKnobs(**{**small, "data": DataKnobs(train_size=40), **changes})
    found, before, step = [], 0, 0
    with Reads() as reads:
        for row in run(knobs, TrialContext()):
            found.append((row["step"] - step, reads.count - before))
            before, step = reads.count, row["step"]
    return found


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"feature_update_interval": 10},
        {"feature_update_interval": 100, "optimizer": "adam", "weight_decay": 0.01},
        *({"feature_update_interval": 1000, "round_method": method} for method in ("jvp", "cached", "function_space")),
        {"feature_update_interval": 1000, "precision": "bfloat16"},
    ],
    ids=lambda changes: ", ".join(f"{name}={value}" for name, value in changes.items()) or "plain",
)
def test_only_rows_read(changes: dict[str, Any]) -> None:
    taken = reads_by_row(**changes)
    after_few, after_many = (
        [reads for steps, reads in taken if low <= steps <= high] for low, high in ((1, 5), (100, 600))
    )
    assert len(after_few) > 2
    assert len(after_many) > 2
    # What a row reads differs by one where it is the last or the first of its kind; 500 steps more read nothing more.
    assert max(after_many) <= max(after_few) + 1


def test_trials_that_train_together_read_for_rows_alone() -> None:
    changes = [{"feature_update_interval": k} for k in (1, 10, math.inf)] + [{"warm_steps": 20, "seed": 1}]
    small = {"steps": 1000, "width": 16, "batch_size": 8, "measurements_per_decade": 3, "probe_size": 8}
    lanes = [KPhaseKnobs(**{**small, "data": DataKnobs(train_size=40), **each}) for each in changes]
    assert len({together_key(each) for each in lanes}) == 1
    found: dict[int, list[int]] = {0: []}
    before = 0
    with Reads() as reads:
        for _, row in run_many(lanes, TrialContext()):
            assert not isinstance(row, Diverged)
            found.setdefault(row["step"], []).append(reads.count - before)
            before = reads.count
    steps = sorted(found)
    # The first row at a step counts what the steps since the last row read, the others only themselves.
    for step in steps[2:]:
        assert found[step][0] <= max(found[steps[1]]) + 1
    assert steps[-1] - steps[-2] > 400


DECISIONS = 12
"""What a damped step reads: the loss at its beginning and its end with the accuracies, whether a factorisation failed,
the curvature and the length that its columns tell, whether the step counts."""


def reads_a_damped_step(**changes: Any) -> float:
    """Return the reads of a damped step that no row describes."""
    small = {"width": 8, "depth": 1, "damping": 30.0, "measurements_per_decade": 1, "probe_size": 0}
    counts = []
    for steps in (20, 40):  # both have rows at 0, 1, 10 and the end, and at this damping no loss is crossed
        knobs = DampingKnobs(**{**small, "data": DataKnobs(train_size=40), "steps": steps, **changes})
        with Reads() as reads:
            *_, last = run_damped(knobs, TrialContext())
        assert last["step"] == steps
        counts.append(reads.count)
    return (counts[1] - counts[0]) / 20


@pytest.mark.parametrize(
    "changes", [{}, {"width": 32, "data": DataKnobs(train_size=80)}, {"batch_size": 20}, {"solver": "parameter"}]
)
def test_a_damped_step_reads_what_it_decides_by_and_no_more(changes: dict[str, Any]) -> None:
    """Whether it was accepted, has stalled or converged are questions to numbers, once a step of much arithmetic."""
    assert reads_a_damped_step(**changes) <= DECISIONS


def test_conjugate_gradients_read_once_an_iteration() -> None:
    few, many = (reads_a_damped_step(solver="cg", inner_tolerance=1e-30, inner_steps=steps) for steps in (4, 9))
    assert many - few == 5


def test_the_counter_counts() -> None:
    with Reads() as reads:
        float(torch.ones(3).sum())
        bool((torch.ones(1) > 0).all())
    assert reads.count == 2
