"""Knobs of trainings of layer groups: how often they are linearised, and what stands against it."""

from __future__ import annotations

from dataclasses import dataclass

from trials.core.knobs import TrialKnobs, knob

RESIDUAL_PARTS = ("conv", "block 1", "block 2", "block 3", "head")
"""Parts of a residual network of small images: a "block" is a stage of residual blocks."""


@dataclass(frozen=True, kw_only=True)
class RoundsKnobs(TrialKnobs):
    """How often what trains is linearised; plain training has no damping, whatever is asked: these are one training."""

    feature_update_interval: int = knob(
        "steps between re-linearisations (K); 1 = plain training", 1, unit="steps", at_least=1
    )
    damping: float = knob(
        "lambda of lambda / 2 ||theta - theta_s||^2 beside the loss of a round, theta_s where it began", 0.0, at_least=0
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.feature_update_interval == 1:
            object.__setattr__(self, "damping", 0.0)

    def refuse_rounds(self, *, statistics_move: bool = False, precision: str = "float32") -> None:
        """Compare the interval with what has no exact linearisation of a sample.

        Statistics move where batch normalisation uses batches in a part that trains.

        Raises:
            ValueError: The network is to be linearised and cannot be.
        """
        if self.feature_update_interval == 1:
            return
        asked = f"feature_update_interval={self.feature_update_interval}"
        if statistics_move:
            raise ValueError(
                f"{asked} needs keep_statistics=true: by batches, a sample's linearisation would depend on its batch"
            )
        if precision != "float32":
            raise ValueError(f"{asked} needs precision=float32: {precision} would round the linearisation's tangents")
