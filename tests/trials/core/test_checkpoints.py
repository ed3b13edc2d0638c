"""Checkpoints of a recipe: broken off anywhere, it gives the rows of an undisturbed run."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from trials.core.checkpoints import Saved, State, as_arrays, as_state
from trials.core.context import TrialContext
from trials.core.data.arrays import Arrays
from trials.core.data.knobs import DataKnobs
from trials.k_phase_diagram.knobs import KPhaseKnobs
from trials.k_phase_diagram.recipe import run

KNOBS = KPhaseKnobs(
    steps=60,
    feature_update_interval=7,
    width=8,
    depth=1,
    batch_size=16,
    probe_size=8,
    data=DataKnobs(train_size=64, test_size=64),
)


class BrokenOff(Exception):
    pass


class Memory:
    """Checkpoints in memory, which break the trial off when it comes to a given step."""

    def __init__(self, break_at: int | None = None, saved: tuple[int, dict[str, np.ndarray]] | None = None) -> None:
        self.break_at = break_at
        self.saved = saved

    def restored(self, device: torch.device) -> Saved | None:
        return None if self.saved is None else Saved(self.saved[0], as_state(self.saved[1], device))

    def offer(self, step: int, state: Callable[[], State], *, last: bool) -> None:
        if step == self.break_at or last:
            self.saved = (step, as_arrays(state()))
        if step == self.break_at:
            raise BrokenOff


def rows_until_broken(knobs: KPhaseKnobs, checkpoints: Memory, arrays: Arrays | None = None) -> list[Any]:
    rows: list[Any] = []
    sources = {} if arrays is None else {"arrays": lambda name: arrays}
    with contextlib.suppress(BrokenOff):
        rows.extend(run(knobs, TrialContext(checkpoints=checkpoints, **sources)))
    return rows


@pytest.mark.parametrize("interval", [1, 7, 60])
@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_broken_off_anywhere_the_rows_are_those_of_an_undisturbed_run(interval: int, precision: str) -> None:
    knobs = dataclasses.replace(KNOBS, feature_update_interval=interval, precision=precision)
    undisturbed = list(run(knobs, TrialContext()))
    for step in range(knobs.steps + 1):
        first = Memory(break_at=step)
        rows = rows_until_broken(knobs, first)
        assert rows == undisturbed[: len(rows)]
        rows += list(run(knobs, TrialContext(checkpoints=Memory(saved=first.saved))))
        assert rows == undisturbed


def test_without_the_anchor_the_rows_would_differ() -> None:
    first = Memory(break_at=10)
    rows = rows_until_broken(KNOBS, first)
    assert first.saved is not None
    step, arrays = first.saved
    forged = {name: value for name, value in arrays.items() if "/anchor/" not in name}
    forged |= {name.replace("/now/point/", "/anchor/"): value for name, value in forged.items() if "/point/" in name}
    rows += list(run(KNOBS, TrialContext(checkpoints=Memory(saved=(step, forged)))))
    assert rows != list(run(KNOBS, TrialContext()))


@pytest.mark.parametrize(("interval", "longer_interval"), [(7, 7), (60, 60), (60, 120), (1, 1)])
def test_a_longer_trial_goes_on_from_the_end_of_a_shorter_one(interval: int, longer_interval: int) -> None:
    """K at or above `steps` linearises once: its state also begins the longer trials whose K is `steps` or larger."""
    shorter = Memory()
    rows = rows_until_broken(dataclasses.replace(KNOBS, feature_update_interval=interval), shorter)
    longer = dataclasses.replace(KNOBS, steps=120, feature_update_interval=longer_interval)
    rows_before_the_end = [row for row in rows if row["step"] < KNOBS.steps]
    went_on = rows_before_the_end + list(run(longer, TrialContext(checkpoints=shorter)))
    assert went_on == list(run(longer, TrialContext()))


@pytest.mark.parametrize(
    ("of", "at", "of_another"),
    [
        ({"feature_update_interval": 1}, 20, {"feature_update_interval": 60, "warm_steps": 20}),
        ({"feature_update_interval": 60}, 30, {"feature_update_interval": 30}),
    ],
    ids=["a warm start from plain training", "a second round from fixed features"],
)
def test_a_trial_goes_on_from_another_that_was_the_same_training_until_then(
    of: dict[str, Any], at: int, of_another: dict[str, Any]
) -> None:
    first = Memory(break_at=at)
    rows_until_broken(dataclasses.replace(KNOBS, **of), first)
    another = dataclasses.replace(KNOBS, **of_another)
    went_on = list(run(another, TrialContext(checkpoints=Memory(saved=first.saved))))
    assert went_on == [row for row in run(another, TrialContext()) if row["step"] >= at]


def test_states_of_any_depth_travel_as_arrays() -> None:
    state: State = {
        "a": torch.arange(3),
        "b": {"c": torch.zeros(2, 2), "d": {"e": torch.ones((), dtype=torch.float64)}},
    }
    arrays = as_arrays(state)
    assert sorted(arrays) == ["a", "b/c", "b/d/e"]
    back: Any = as_state(arrays, torch.device("cpu"))
    assert torch.equal(back["a"], torch.arange(3))
    assert back["b"]["d"]["e"].dtype == torch.float64
