"""Knobs of sharpness-aware minimisation on the patch model."""

from __future__ import annotations

from dataclasses import dataclass

from trials.core.knobs import TrialKnobs, knob
from trials.core.rounds.settings import unified_lengths


@dataclass(frozen=True, kw_only=True)
class UsefulKnobs(TrialKnobs):
    """All that decides the outcome of one training."""

    sam_rho: float = knob("distance up the slope at which the gradient is taken; 0 = gradient descent", 0.0, at_least=0)
    feature_update_interval: int = knob(
        "steps between re-linearisations (K): 1 trains the network itself, `steps` and above linearise once",
        1,
        unit="steps",
        at_least=1,
    )
    beta_easy: float = knob("size of the easy feature", 1.0, above=0)
    beta_hard: float = knob("size of the difficult feature", 0.2, above=0)
    easy_prob: float = knob("share of the examples that carry the easy feature", 0.9, at_least=0, at_most=1)
    patches: int = knob("patches of an example, two of them for features", 3, at_least=2)
    dimensions: int = knob("dimensions of a patch, two of them for features", 50, at_least=3)
    noise: float = knob("root mean squared norm of a noise patch", 0.125, at_least=0)
    samples: int = knob("training examples", 600, at_least=2)
    filters: int = knob("cubic units", 10, at_least=1)
    learning_rate: float = knob("step length along the gradient", 0.1, above=0)
    steps: int = knob("full-batch steps", 1000, unit="steps", at_least=1)
    measurements_per_decade: int = knob("rows a factor of ten in steps", 20, at_least=1)

    def __post_init__(self) -> None:
        interval, _ = unified_lengths(self.feature_update_interval, self.steps, 0)
        object.__setattr__(self, "feature_update_interval", interval)
        super().__post_init__()
