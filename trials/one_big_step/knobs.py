"""Knobs of one big step and the regression after it."""

from __future__ import annotations

from dataclasses import dataclass

from trials.core.knobs import TrialKnobs, knob


@dataclass(frozen=True, kw_only=True)
class OneBigStepKnobs(TrialKnobs):
    """All that decides the outcome of one step and the regression after it."""

    setting: str = knob("what is learnt, and by which network", "rank_one", choices=("rank_one", "quadratic"))
    step_size: float = knob("length of the step; 0 leaves random features", 1.0, at_least=0)
    dimensions: int = knob("dimensions of the inputs", 100, at_least=2)
    samples: int = knob("samples of the step, of the regression and of the test each", 1500, at_least=2)
    width: int = knob("units of the hidden layer, an even number", 300, unit="units", at_least=2)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.width % 2:
            raise ValueError(f"width must be even, since units begin in pairs that cancel, got {self.width}")
