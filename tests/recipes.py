"""Recipes for tests of the service: quick ones, and ones that fail in every way."""

from __future__ import annotations

import os
import signal
import time
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch

from analysis.core.figures import Drawing
from analysis.store.results import Results
from raysweep.service.study import Recipe, Study
from trials.core.context import Together, TrialContext
from trials.core.knobs import TrialKnobs, knob
from trials.core.rows import Diverged, Measurement, Row

SECONDS = "RAYSWEEP_TEST_WALK_SECONDS"
BEHAVIOURS = ("finishes", "diverges", "raises", "yields_nonsense", "dies", "needs_memory")


@dataclass(frozen=True, kw_only=True)
class WalkKnobs(TrialKnobs):
    """A walk of a few steps that ends as told."""

    behaviour: str = knob("how the trial ends", "finishes", choices=BEHAVIOURS)
    steps: int = knob("rows", 3, unit="steps", at_least=1)
    slope: float = knob("rise of a step", 1.0, unit="m")
    load: int = knob("what is carried along from the second step", 0, unit="MiB", at_least=0)


MEASUREMENTS = {"height": Measurement(meaning="where the walk is", unit="m")}


def walk(knobs: WalkKnobs, context: TrialContext) -> Iterator[Row]:
    """Walk `steps` rows up from the seed, in the time that the environment sets: it decides no row."""
    if knobs.behaviour == "needs_memory":
        torch.empty(2**60)
    carried = bytearray()
    for step in range(knobs.steps):
        time.sleep(float(os.environ.get(SECONDS, "0")) / knobs.steps)
        yield {"step": step, "height": float(knobs.seed + step * knobs.slope)}
        carried = carried or bytearray(knobs.load * 2**20)
    if knobs.behaviour == "diverges":
        raise Diverged(knobs.steps, "the walk left the ground")
    if knobs.behaviour == "raises":
        raise RuntimeError("the walk was broken off")
    if knobs.behaviour == "yields_nonsense":
        yield {"step": knobs.steps, "depth": 1.0}
    if knobs.behaviour == "dies":
        os.kill(os.getpid(), signal.SIGKILL)


def draw(results: Results) -> Sequence[Drawing]:
    """Draw nothing."""
    return []


WALK = Study(
    name="walk",
    question="Where does a walk end?",
    knobs=WalkKnobs,
    measurements=MEASUREMENTS,
    recipe=Recipe(run=walk),
    figures="tests.recipes",
    across="behaviour",
    headline="final_height",
)


def walk_many(
    knobs: Sequence[WalkKnobs], context: TrialContext, *, holding: int = 32
) -> Iterator[tuple[int, Row | Diverged]]:
    """Walk side by side, as many as a rope holds."""
    if len(knobs) > holding:
        raise torch.OutOfMemoryError(f"no room for {len(knobs)} walks")
    walking = {index: walk(each, context) for index, each in enumerate(knobs)}
    while walking:
        for index, rows in list(walking.items()):
            try:
                yield index, next(rows)
            except Diverged as divergence:
                del walking[index]
                yield index, divergence
            except StopIteration:
                del walking[index]


def walking_together(run: Callable[..., Iterator[tuple[int, Row | Diverged]]] = walk_many) -> Study:
    """Return the study of walks of which those of equally many steps go together; walks of one step go alone."""
    together = Together(run=run, key=lambda knobs: None if knobs.steps == 1 else knobs.steps, tolerance=1e-12)
    return replace(WALK, recipe=Recipe(run=walk, together=together))


class HostGauge:
    """Measures what Python allocates: memory as a GPU's would be, where there is no GPU."""

    device = torch.device("cpu")

    def name(self) -> str:
        return "host"

    def memory_gib(self) -> float:
        return 2.0

    def peak_gib(self, train: Callable[[], None]) -> float:
        tracemalloc.start()
        try:
            train()
            return tracemalloc.get_traced_memory()[1] / 2**30
        finally:
            tracemalloc.stop()


def walks(**knobs: object) -> WalkKnobs:
    """Return knobs of a walk."""
    return WalkKnobs(**knobs)  # type: ignore[arg-type]
