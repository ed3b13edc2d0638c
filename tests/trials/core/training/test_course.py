"""The course: which moments it yields, what they tell, and that it goes on wherever it was broken off."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import pytest
import torch

from tests.trials.core.test_checkpoints import BrokenOff, Memory
from tests.trials.core.training.problems import on_all, rounds_of, small_problem, steps_by
from trials.core.context import TrialContext
from trials.core.rounds.in_rounds import in_rounds, renewed_every
from trials.core.training.batches import epochs, formed, seen
from trials.core.training.course import course
from trials.core.training.directions import Private, SharpnessAware
from trials.core.training.places import Place


@dataclass(frozen=True)
class Told:
    rows: int = 0
    best: float | None = None
    values: tuple[float, ...] = ()
    parts: dict = dataclasses.field(default_factory=dict)


def _begun(problem, start, interval, step, damping=0.0):
    place = Place(start, step.rule.beginning(start))
    return renewed_every(interval, problem, place, damping=damping)


def _told(problem, start, step, checkpoints, *, interval=1, damping=0.0, steps=9):
    """Return rows that hang together by sums, by the last step's gradient, and by what earlier rows left."""
    for now in course(
        _begun(problem, start, interval, step, damping),
        step,
        seen(formed(problem.train), epochs(0, 40, 8)),
        steps=steps,
        rows_at=lambda now: now.step % 2 == 0 or now.last,
        context=TrialContext(checkpoints=checkpoints),
        past=Told(),
        tally=lambda batch, told: torch.stack([torch.tensor(1.0), told.gradient["readout.bias"].sum().float()]),
        note=lambda told: told.gradient["readout.bias"].norm(),
        sums_at=lambda step: step % 4 == 0,
    ):
        norm = None if now.noted() is None else float(now.noted())
        values = (*now.past.values, float(now.parameters["readout.bias"].sum()))
        best = min(values) if now.past.best is None else min(now.past.best, values[-1])
        now.past = Told(now.past.rows + 1, best, values, {"bias": now.parameters["readout.bias"]})
        yield now.step, None if now.seen is None else now.seen.tolist(), norm, now.past.rows, best, values


STEPS = {
    "momentum": steps_by("momentum", momentum=0.9, weight_decay=0.01),
    "adam": steps_by("adam", rate=0.01),
    "sam": steps_by(direction=SharpnessAware(0.3)),
    "private": steps_by(direction=Private(clip=0.1, noise=1.0, expected=8, seed=0)),
    "penalty": steps_by(penalty=lambda point, step: sum(value.abs().sum() for value in point.values()) / (step + 1)),
}


@pytest.mark.parametrize("name", STEPS)
@pytest.mark.parametrize(("interval", "damping"), [(1, 0.0), (4, 0.3)])
def test_broken_off_at_every_step_it_goes_on_as_if_it_had_not_been(name, interval, damping):
    problem, start = small_problem()
    changes = {"interval": interval, "damping": damping}
    undisturbed = list(_told(problem, start, STEPS[name], Memory(), **changes))
    assert [row[0] for row in undisturbed] == [0, 2, 4, 6, 8, 9]
    for step in range(10):
        first, rows = Memory(break_at=step), []
        with pytest.raises(BrokenOff):
            rows.extend(_told(problem, start, STEPS[name], first, **changes))
        assert rows == [row for row in undisturbed if row[0] < step]
        rows += _told(problem, start, STEPS[name], Memory(saved=first.saved), **changes)
        assert rows == undisturbed


def test_sums_and_notes_are_of_the_steps_between_rows():
    problem, start = small_problem()
    rows = list(_told(problem, start, STEPS["momentum"], Memory()))
    counts = [row[1] and row[1][0] for row in rows]
    assert counts == [None, 2, 4, 2, 4, 1], "they begin anew after the rows of steps 0, 4 and 8 alone"
    assert rows[0][2] is None and all(row[2] > 0 for row in rows[1:])


def test_a_training_ends_before_its_steps_where_it_is_told_and_leaves_its_last_state():
    problem, start = small_problem()
    kept = Memory()

    def small(now):
        train = problem.train
        return float(problem.loss(problem.network.forward(now.parameters, train.inputs), train.labels)) < 1.05

    moments = [
        (now.step, now.last)
        for now in course(
            renewed_every(1, problem, Place(start, {})),
            steps_by(),
            on_all(problem),
            steps=500,
            rows_at=lambda now: now.last or now.step % 10 == 0,
            ends_at=small,
            context=TrialContext(checkpoints=kept),
            past=None,
        )
    ]
    assert moments[-1][1] and moments[-1][0] == kept.saved[0] < 500
    assert not any(last for _, last in moments[:-1])


def test_a_moment_is_of_what_the_last_step_trained():
    """A row where a round ends describes the old linearisation; the next step has the new one."""
    problem, start = small_problem()
    begun = in_rounds(rounds_of(problem, 3), Place(start, {}))
    counts = {}
    for now in course(
        begun,
        steps_by(),
        on_all(problem),
        steps=7,
        rows_at=lambda now: True,
        context=TrialContext(),
        past=None,
    ):
        counts[now.step] = (now.trained.counted.linearisations, now.trained.ends(now.step, now.place))
    assert counts == {0: (0, True), 1: (1, False), 2: (1, False), 3: (1, True)} | {
        4: (2, False), 5: (2, False), 6: (2, True), 7: (3, False)
    }  # fmt: skip
