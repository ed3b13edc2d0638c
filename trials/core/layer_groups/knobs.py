"""Knobs of trainings of layer groups: how often they are linearised, and what stands against it."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

from trials.core.knobs import TrialKnobs, knob

RESIDUAL_PARTS = ("conv", "block 1", "block 2", "block 3", "head")
"""Parts of a residual network of small images: a "block" is a stage of residual blocks."""


@dataclass(frozen=True, kw_only=True)
class RoundsKnobs(TrialKnobs, ABC):
    """How often what trains is linearised.

    What is the same training is recorded as one: plain training has no damping, whatever is asked, and an interval that
    does not end before the training is as long as it. How many steps a training has follows from its samples, which
    are known here or, where files decide, when they are read: `refuse_beyond` is then asked.
    """

    feature_update_interval: int = knob(
        "steps between re-linearisations (K): 1 is plain training, that of all steps and above (inf) linearises once",
        1,
        unit="steps",
        at_least=1,
    )
    damping: float = knob(
        "lambda of lambda / 2 ||theta - theta_s||^2 beside the loss of a round, theta_s where it began", 0.0, at_least=0
    )

    def __post_init__(self) -> None:
        endless = self.feature_update_interval == math.inf
        if endless:
            object.__setattr__(self, "feature_update_interval", 1)  # until the steps are known
        super().__post_init__()
        if self.known_samples is not None:
            steps = self.steps_on(self.known_samples)
            if endless or self.feature_update_interval > steps:
                object.__setattr__(self, "feature_update_interval", steps)
        elif endless:
            raise ValueError(
                "feature_update_interval=inf stands for all steps of the training, whose number follows from files "
                "that are not read yet; write a number of steps, or say how many images to train on"
            )
        if self.feature_update_interval == 1:
            object.__setattr__(self, "damping", 0.0)

    @property
    @abstractmethod
    def known_samples(self) -> int | None:
        """How many samples there are to train on, before any data are read; None where files decide."""

    @abstractmethod
    def steps_on(self, samples: int) -> int:
        """Return how many steps the training on so many samples has.

        Raises:
            ValueError: They are too few for a batch, for the share that is distinct, or for what is held out.
        """

    def refuse_beyond(self, samples: int) -> None:
        """Compare the interval with the steps on the samples that there are: one training has one interval.

        Raises:
            ValueError: The training ends before the interval does, or there are too few samples for it.
        """
        interval, steps = self.feature_update_interval, self.steps_on(samples)
        if interval > steps:
            raise ValueError(
                f"feature_update_interval={interval} exceeds the {steps} steps of this training on {samples} samples; "
                f"write {steps}, which linearises once"
            )

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
