"""What a row of a training in rounds says, and what later rows need of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple

import torch

from trials.core.augmentation.fixed_set import abreast
from trials.core.parameters import stacked
from trials.core.probes.tangent_kernel import kernel_distance
from trials.core.rows import refuse_divergence
from trials.k_phase_diagram.features import probes_abreast
from trials.k_phase_diagram.reading import Gauges, Reading

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    from trials.core.data.examples import TrainingSet
    from trials.core.rounds.choice import Switch
    from trials.core.rounds.in_rounds import Counted, InRounds
    from trials.core.rows import Row, Value
    from trials.core.training.course import Moment


@dataclass(frozen=True, kw_only=True)
class FeatureHistory:
    """Kernels of earlier rows.

    Attributes:
        row_kernel: That of the last dated row; None before the first.
        row_step: Its step.
        round_kernel: That where the last round began whose beginning was measured.
        moves: Distances between the kernels of consecutive rounds, and their squares, each added up.
        updates: How many distances these are.
    """

    row_kernel: Float[Tensor, "n*c n*c"] | None = None
    row_step: int = 0
    round_kernel: Float[Tensor, "n*c n*c"] | None = None
    moves: tuple[float, float] = (0.0, 0.0)
    updates: int = 0

    def columns(self, kernel: Float[Tensor, "n*c n*c"], step: int, updates: int) -> dict[str, Value]:
        """Return the columns that compare a row's kernel, after so many feature updates, with earlier ones."""
        columns: dict[str, Value] = {}
        if self.row_kernel is not None:
            columns["ntk_velocity"] = float(kernel_distance(kernel, self.row_kernel)) / (step - self.row_step)
        if updates == self.updates:
            total, squares = self.moves
            columns["num_feature_updates_effective"] = total**2 / squares if squares > 0 else 0.0
        return columns

    def after(
        self, kernel: Float[Tensor, "n*c n*c"], step: int, *, rounds_begun: int, begins: bool, dated: bool
    ) -> FeatureHistory:
        """Return the history after the row of a step.

        Args:
            kernel: That of the row.
            step: The row's step.
            rounds_begun: Rounds begun before it.
            begins: Whether the next one begins there.
            dated: Whether every trial has a row at this step, whatever its rounds. Velocities are since the last such
                row, so that those of different K are over the same time.
        """
        history = replace(self, row_kernel=kernel, row_step=step) if dated else self
        if not begins or rounds_begun != (0 if self.round_kernel is None else self.updates + 1):
            return history
        if self.round_kernel is None:
            return replace(history, round_kernel=kernel)
        moved = float(kernel_distance(kernel, self.round_kernel))
        total, squares = self.moves
        return replace(
            history, round_kernel=kernel, moves=(total + moved, squares + moved**2), updates=self.updates + 1
        )


@dataclass(frozen=True, kw_only=True)
class Past:
    """What earlier rows leave for later ones.

    Attributes:
        training_losses: The loss that is being minimised, of every row.
        features: Kernels of earlier rows.
        stability: Stability ratio of the linearisation `told_of`.
        told_of: Number of the latest linearisation whose stability ratio is known; 0 before the first.
    """

    training_losses: tuple[float, ...] = ()
    features: FeatureHistory = field(default_factory=FeatureHistory)
    stability: float | None = None
    told_of: int = 0


class Stand(NamedTuple):
    """Where a training stands among its rounds when a row is taken.

    Attributes:
        step: Steps done.
        counted: How the round came about.
        damping: What draws the parameters to its anchor.
        method: How the last step was computed, or would have been by a trial by itself.
        converged: Whether the round has reached the tolerance; None if there is none.
        begins: Whether the next round begins here.
        last: Whether training ends here.
    """

    step: int
    counted: Counted
    damping: float
    method: Switch
    converged: bool | None
    begins: bool
    last: bool

    @property
    def number(self) -> int:
        """Which linearisation a row describes, from 1; the row at step 0 has that of the first round."""
        return max(1, self.counted.linearisations)


@dataclass(frozen=True, kw_only=True)
class Instruments(Gauges):
    """What the rows of one training are read with, and which of its moments have a row.

    Attributes:
        reach: How far a gradient moves the parameters in the end, over itself: the rate, by momentum over what it does
            not keep; None where that depends on other gradients.
        measured_steps: Steps that have a row, whatever the rounds.
        measured_rounds: Rounds, the first ones, that have a row at their end.
    """

    train: TrainingSet
    test: TrainingSet
    learning_rate: float
    reach: float | None
    measured_steps: AbstractSet[int]
    measured_rounds: int = 0

    def is_measured(self, now: Moment[InRounds, Past]) -> bool:
        """Return whether a moment has a row: by its step, or as the end of one of the first rounds."""
        if now.step in self.measured_steps:
            return True
        first = now.trained.counted.linearisations <= self.measured_rounds
        return first and now.trained.ends(now.step, now.place)

    def row(self, now: Moment[InRounds, Past]) -> tuple[Row, Past]:
        """Return the row of a moment and the past that includes it.

        Raises:
            Diverged: A measurement is not finite, or the training loss stays far above its initial value.
        """
        trained, begins = now.trained, now.trained.ends(now.step, now.place)
        converged, model = trained.converged(now.place), trained.round.model
        how = trained.counted, trained.round.damping, trained.method
        stand = Stand(now.step, *how, converged, begins, now.last)
        (reading,) = self.read(model, now.parameters, trained.path, begins=begins)
        stability = self.stability(model.anchor)[0] if self.lacks_stability(stand, now.past) else None
        return self.told(stand, now.past, reading, stability)

    def lacks_stability(self, moment: Stand, past: Past) -> bool:
        """Return whether no earlier row has told the stability ratio of the present linearisation."""
        return self.probe is not None and past.told_of != moment.number

    def told(self, moment: Stand, past: Past, reading: Reading, stability: float | None) -> tuple[Row, Past]:
        """Return the row of what has been read, and the past that includes it.

        `stability` is the ratio of the present linearisation, where the past lacks it.

        Raises:
            Diverged: See `row`.
        """
        step, updates = moment.step, moment.number - 1
        losses = (*past.training_losses, reading.fits["train_loss_lin"])
        refuse_divergence({"step": step, **reading.fits, **reading.moved}, losses, last=moment.last)
        if past.told_of == moment.number:
            stability = past.stability
        history, of_history = past.features, {}
        if reading.kernel is not None:
            of_history = history.columns(reading.kernel, step, updates)
            begun, dated = moment.counted.linearisations, step in self.measured_steps
            history = history.after(reading.kernel, step, rounds_begun=begun, begins=moment.begins, dated=dated)
        converged = moment.converged
        row = {
            "step": step,
            "round": updates,
            "num_linearisations": moment.number,
            "num_feature_updates": updates,
            **reading.fits,
            **reading.moved,
            **{name: _defined(value) for name, value in reading.features.items()},
            **of_history,
            "lr_stability_ratio": _defined(stability),
            "effective_damping": self._effective_damping(moment),
            "method": moment.method.method,
            "method_reason": moment.method.reason,
            "round_converged": converged,
            "status": "budget" if converged is None else "converged" if converged else "unconverged",
        }
        told_of = moment.number
        if moment.begins:
            told_of, stability = moment.counted.linearisations + 1, reading.next_stability
        return row, Past(training_losses=losses, features=history, stability=stability, told_of=told_of)

    def _effective_damping(self, moment: Stand) -> float | None:
        """Return lambda + 1 / (reach k), of the row's round and of the k steps of the longest one so far.

        k gradient steps on squared error filter a kernel's modes about as damping by 1 / (reach k) does.

        Source: Ali, Kolter, Tibshirani, arXiv 1810.10082, section 2 (gradient flow for time t and ridge 1 / t).
        """
        longest = max(moment.counted.longest, moment.step - moment.counted.begun)
        return moment.damping + 1 / (self.reach * longest) if longest and self.reach else None


def gauges_abreast(instruments: Sequence[Instruments]) -> Gauges:
    """Return what reads several trials at once: of one network and loss, the same samples, and probes of one size."""
    first = instruments[0]
    probes = [each.probe for each in instruments if each.probe is not None]
    rates = [each.learning_rate for each in instruments]
    return Gauges(
        train=abreast([each.train for each in instruments]),
        test=abreast([each.test for each in instruments]),
        loss=first.loss,
        initial=stacked([each.initial for each in instruments]),
        probe=probes_abreast(probes) if probes else None,
        directions=first.directions,
        learning_rate=torch.tensor(rates, dtype=torch.float64, device=first.test.labels.device),
    )


def _defined(number: float | None) -> float | None:
    """Return the number, None where it is a quotient by nothing: at the first step, or of constant features."""
    return number if number is not None and math.isfinite(number) else None
