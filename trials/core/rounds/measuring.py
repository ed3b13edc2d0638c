"""What a row of a training in rounds says, and what later rows need of it."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import torch

from trials.core.divergence import refuse_divergence
from trials.core.probes.feature_history import FeatureHistory, history_from
from trials.core.probes.features import FeatureProbe, alignment
from trials.core.probes.fit import fit
from trials.core.probes.movement import movement

if TYPE_CHECKING:
    from torch import Tensor

    from trials.core.checkpoints import State
    from trials.core.data.examples import Examples
    from trials.core.parameters import Parameters
    from trials.core.rounds.round import Problem
    from trials.core.rounds.training import Training
    from trials.core.rows import Row, Value


@dataclass(frozen=True, kw_only=True)
class Past:
    """What earlier rows leave for later ones.

    Attributes:
        training_losses: The loss that is being minimised, of every row.
        features: Kernels of earlier rows.
        stability: Number of the last row's linearisation and its stability ratio. It is not saved: a trial that goes on
            from a checkpoint finds it anew, from the same anchor.
    """

    training_losses: tuple[float, ...] = ()
    features: FeatureHistory = field(default_factory=FeatureHistory)
    stability: tuple[int, float | None] | None = None

    def state(self) -> State:
        """Return the past as tensors by name."""
        losses = torch.tensor(self.training_losses, dtype=torch.float64)
        return {"training_losses": losses, "features": self.features.state()}


def past_from(state: Any) -> Past:
    """Return the past that a state tells of."""
    return Past(training_losses=tuple(state["training_losses"].tolist()), features=history_from(state["features"]))


@dataclass(frozen=True, kw_only=True)
class Instruments:
    """All that a trial's rows are measured with.

    Attributes:
        problem: What is trained on what.
        test: The test examples.
        initial: The parameters at initialisation.
        probe: On what features are compared; None if they are not.
        directions: Orthonormal basis of the inputs' directions that decide the labels, where it is known.
        learning_rate: Length of a step.
        reach: How far a gradient moves the parameters in the end, over itself: the rate, by momentum over what it does
            not keep; None where that depends on other gradients.
        measured_steps: Steps that have a row, whatever the rounds.
    """

    problem: Problem
    test: Examples
    initial: Parameters
    probe: FeatureProbe | None
    directions: Tensor | None
    learning_rate: float
    reach: float | None
    measured_steps: AbstractSet[int]

    def row(
        self, step: int, training: Training, past: Past, *, converged: bool | None, begins: bool, last: bool
    ) -> tuple[Row, Past]:
        """Return the row before `step` and the past that includes it.

        Args:
            step: Steps done.
            training: Where training is.
            past: What earlier rows left.
            converged: Whether the round has reached the tolerance; None if there is none.
            begins: Whether the next round begins here.
            last: Whether training ends here.

        Raises:
            Diverged: A measurement is not finite, or the training loss stays far above its initial value.
        """
        parameters, updates = training.parameters, max(1, training.linearisations) - 1
        fits = self._fits(training, parameters)
        losses = (*past.training_losses, fits["train_loss_lin"])
        moved = movement(parameters, training.round.model.anchor, self.initial, training.path)
        refuse_divergence({"step": step, **fits, **moved}, losses, last=last)
        features, history = self._features(step, training, parameters, past.features, begins=begins)
        stability = self._stability(training, past)
        row = {
            "step": step,
            "round": updates,
            "num_linearisations": updates + 1,
            "num_feature_updates": updates,
            **fits,
            **moved,
            **features,
            "lr_stability_ratio": stability[1],
            **alignment(next(iter(parameters.values())), self.directions),
            "effective_damping": self._effective_damping(step, training),
            "method": training.method.method,
            "method_reason": training.method.reason,
            "round_converged": converged,
            "status": "budget" if converged is None else "converged" if converged else "unconverged",
        }
        return row, Past(training_losses=losses, features=history, stability=stability)

    def _effective_damping(self, step: int, training: Training) -> float | None:
        """Return 1 / (reach k): k gradient steps on squared error filter a kernel's modes about as damping by it does.

        Source: Ali, Kolter, Tibshirani, arXiv 1810.10082, section 2 (gradient flow for time t and ridge 1 / t).
        """
        longest = max(training.longest, step - training.begun)
        return 1 / (self.reach * longest) if longest and self.reach else None

    def _fits(self, training: Training, parameters: Parameters) -> dict[str, float]:
        """Return loss and accuracy of the trained function and of the network, on both splits."""
        model = training.round.model
        functions: dict[str, Callable[[Tensor], Tensor]] = {
            "lin": partial(model, parameters),
            "net": partial(model.forward, parameters),
        }
        columns: dict[str, float] = {}
        for name, function in functions.items():
            for split, examples in {"train": self.problem.train, "test": self.test}.items():
                found = fit(function, examples, self.problem.loss)
                columns[f"{split}_loss_{name}"], columns[f"{split}_acc_{name}"] = found
        return columns

    def _stability(self, training: Training, past: Past) -> tuple[int, float | None]:
        """Return the number of the linearisation and its stability ratio, which all rows of its round share.

        The row at step 0 and those of the first round have one linearisation, that at initialisation.
        """
        number = max(1, training.linearisations)
        if past.stability is not None and past.stability[0] == number:
            return past.stability
        anchor, rate = training.round.model.anchor, self.learning_rate
        return number, None if self.probe is None else self.probe.stability_ratio(anchor, rate)

    def _features(
        self, step: int, training: Training, parameters: Parameters, history: FeatureHistory, *, begins: bool
    ) -> tuple[dict[str, Value], FeatureHistory]:
        """Return the columns of the probe and the history that includes them."""
        if self.probe is None:
            return {}, history
        model, now = training.round.model, self.probe.features(parameters)
        columns = self.probe.compared(now)
        columns |= self.probe.gap(partial(model, parameters), partial(model, model.anchor), now)
        if now.kernel is None:
            return columns, history
        columns |= history.columns(now.kernel, step, max(1, training.linearisations) - 1)
        begun, dated = training.linearisations, step in self.measured_steps
        return columns, history.after(now.kernel, step, rounds_begun=begun, begins=begins, dated=dated)
