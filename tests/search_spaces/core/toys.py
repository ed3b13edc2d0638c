"""Knobs and surfaces for tests of the planners."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from search_spaces.core.planner import Planner
from trials.core.knobs import TrialKnobs, knob

Answer = Callable[[TrialKnobs], Mapping[str, Any]]
COLUMNS = {"outcome": False, "final_score": True, "gpu_seconds": True}


@dataclass(frozen=True, kw_only=True)
class ToyKnobs(TrialKnobs):
    """Knobs of every type; an interval above the steps is the same as the steps."""

    steps: int = knob("steps", 1000, at_least=1)
    interval: int = knob("steps between updates", 1, at_least=1)
    rate: float = knob("step length", 0.1, above=0, at_most=10)
    width: int = knob("units", 64, at_least=1)
    network: str = knob("architecture", "mlp", choices=("mlp", "cnn"))
    bias: bool = knob("whether there are biases", True)

    def __post_init__(self) -> None:
        if self.interval > self.steps:
            object.__setattr__(self, "interval", self.steps)
        super().__post_init__()


def hill(knobs: TrialKnobs) -> dict[str, Any]:
    """Answer with a score that is best at rate 0.05, width 100 and mlp; a rate above 0.6 diverges."""
    assert isinstance(knobs, ToyKnobs)
    if knobs.rate > 0.6:
        return {"outcome": "diverged", "final_score": None, "gpu_seconds": 0.1}
    score = -((math.log10(knobs.rate / 0.05)) ** 2) - 0.2 * math.log2(knobs.width / 100) ** 2
    score += 0.01 * knobs.seed - (0.3 if knobs.network == "cnn" else 0.0)
    return {"outcome": "finished", "final_score": score, "gpu_seconds": float(knobs.width)}


def run_to_the_end(planner: Planner, answer: Answer = hill, together: int = 4) -> dict[TrialKnobs, Mapping[str, Any]]:
    """Answer all that a planner asks, each batch in the reverse order, and return the rows."""
    rows: dict[TrialKnobs, Mapping[str, Any]] = {}
    while not planner.finished:
        asked = planner.ask(together)
        assert asked, "a planner that is not finished must ask when nothing is under way"
        assert not set(asked) & set(rows)
        for knobs in reversed(asked):
            rows[knobs] = answer(knobs)
            planner.tell(knobs, rows[knobs])
    assert planner.ask(3) == []
    return rows


def told(planner: Planner, rows: Iterable[tuple[TrialKnobs, Mapping[str, Any]]]) -> Planner:
    """Return the planner after telling it rows."""
    for knobs, row in rows:
        planner.tell(knobs, row)
    return planner
