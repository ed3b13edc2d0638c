"""A long trial that leaves checkpoints, for tests that break it off and count what is done twice."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

from raysweep.service.study import Recipe, Study
from trials.core.context import TrialContext
from trials.core.knobs import TrialKnobs, knob
from trials.core.rows import Measurement, Row

SECONDS = "RAYSWEEP_TEST_HIKE_SECONDS"
DIARY = "RAYSWEEP_TEST_HIKE_DIARY"
"""File with a line for every step that any process took: which trial, which step, and which process."""


@dataclass(frozen=True, kw_only=True)
class HikeKnobs(TrialKnobs):
    """A hike in steps, each a fraction of a second."""

    steps: int = knob("steps", 40, unit="steps", at_least=1)


def hike(knobs: HikeKnobs, context: TrialContext) -> Iterator[Row]:
    """Climb by a chaotic amount a step, so that a step left out or taken twice shows in every row after it."""
    saved = context.checkpoints.restored(context.device)
    start, height = (0, torch.tensor(0.1 + knobs.seed / 1000, dtype=torch.float64))
    if saved is not None:
        start, height = saved.step, saved.state["height"]
    for step in range(start, knobs.steps + 1):
        here = height
        context.checkpoints.offer(step, lambda here=here: {"height": here}, last=step == knobs.steps)  # type: ignore[misc]
        if step % 10 == 0:
            yield {"step": step, "height": float(height)}
        if step < knobs.steps:
            time.sleep(float(os.environ.get(SECONDS, "0")) / knobs.steps)
            height = 3.9 * height * (1 - height)
            _noted(f"{knobs.seed} {step} {os.getpid()}\n")


def _noted(line: str) -> None:
    if DIARY in os.environ:
        with Path(os.environ[DIARY]).open("a", encoding="ascii") as diary:
            diary.write(line)


HIKE = Study(
    name="hike",
    question="How high does a hike lead?",
    knobs=HikeKnobs,
    recipe=Recipe(run=hike),
    measurements={"height": Measurement(meaning="where the hike is", unit="m")},
    figures="tests.recipes",
    across="steps",
    headline="final_height",
)


@dataclass(frozen=True)
class Taken:
    """A step that a process took."""

    seed: int
    step: int
    process: int


def steps_taken(diary: Path) -> list[Taken]:
    """Return the steps that the diary has noted so far, in their order."""
    written = diary.read_text(encoding="ascii") if diary.exists() else ""
    whole = written[: written.rfind("\n") + 1]
    return [Taken(*map(int, line.split())) for line in whole.splitlines()]


def recomputed_share(diary: Path, trials: int, steps: int) -> float:
    """Return the steps that were taken more than once over those that were needed."""
    taken = [(step.seed, step.step) for step in steps_taken(diary)]
    assert len(set(taken)) == trials * steps, "a step was never taken"
    return len(taken) / len(set(taken)) - 1


def broken_off(diary: Path) -> set[int]:
    """Return the seeds of the hikes that more than one process went on with."""
    walkers: dict[int, set[int]] = {}
    for step in steps_taken(diary):
        walkers.setdefault(step.seed, set()).add(step.process)
    return {seed for seed, processes in walkers.items() if len(processes) > 1}
