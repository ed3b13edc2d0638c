"""The damped Gauss-Newton step as a step of the training core: it goes to where a model of the loss is least."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.linalg import LinAlgError, vector_norm  # type: ignore[attr-defined]

from trials.core.rows import Diverged
from trials.core.training.places import Place
from trials.core.training.slopes import BatchLoss, Told
from trials.gauss_newton_damping.jacobians import flattened, unflattened
from trials.gauss_newton_damping.measurements import STEP_MEASUREMENTS
from trials.gauss_newton_damping.objective import CodedExamples, Objective
from trials.gauss_newton_damping.solvers import InnerMemory
from trials.gauss_newton_damping.step_rules import StepRule, StepSettings, Surroundings, Taken, surroundings

if TYPE_CHECKING:
    from jaxtyping import Float, Float64

_ROUNDING = 1e-15  # of a step, relative to the parameters
_DESCENDING = ("gradient_descent", "gradient_descent_spectral")
_NEXT = "next"


@dataclass(frozen=True, eq=False)
class GaussNewton:
    """A damped step on what a batch shows; its memory is the next step's damping, and what the inner optimizer knows.

    Attributes:
        objective: What is minimised.
        settings: How steps are solved.
        rule: How far a step goes, and the next damping.
        floor: Least damping, as a part of the largest curvature.
        forgets: Whether each step begins without what the inner optimizer knew.

    Raises:
        TypeError: The loss is not smooth and convex in a sample's outputs.
    """

    objective: Objective
    settings: StepSettings
    rule: StepRule
    floor: float = 0.0
    forgets: bool = True

    def __post_init__(self) -> None:
        _ = self.objective.loss.curved

    def beginning(self, theta: Float[Tensor, " p"], damping: float) -> Place:
        """Return the place before the first step."""
        return self._place(theta, damping, {})

    def __call__(self, loss: BatchLoss, place: Place, step: int) -> tuple[Place, Told]:
        """Return the place after a step, and what is told of it.

        Raises:
            Diverged: A damped system cannot be solved.
        """
        theta, inner = flattened(place.point), {} if self.forgets else place.memory.get("inner", {})
        try:
            around = self.around(theta, loss.batch.shown, inner)
            damping = max(float(place.memory["damping"][_NEXT]), self.floor * around.largest_curvature)
            taken = self.rule(around, damping)
        except LinAlgError:
            precision = str(theta.dtype).removeprefix("torch.")
            raise Diverged(step, f"the curvature has no spectrum in {precision}") from None
        after = self._place(theta + taken.displacement, taken.next_damping, taken.solution.memory)
        return after, self.told(around, taken, theta)

    def around(
        self, theta: Float[Tensor, " p"], shown: CodedExamples | tuple[Tensor, Tensor], inner: InnerMemory
    ) -> Surroundings:
        """Return the objective around a point, on one batch, for inner steps that begin with a memory."""
        settings = replace(self.settings, inner=replace(self.settings.inner, memory=inner))
        return surroundings(self.objective, theta, shown, settings)

    def told(self, around: Surroundings, taken: Taken, theta: Float[Tensor, " p"]) -> Told:
        """Return the gradient, the outputs and the loss before a step, and in its notes the step.

        Of the surroundings no Jacobian is kept. Notes: `sums`, the length of the step and whether it was too short to
        change anything; `columns`, the numbers of `STEP_MEASUREMENTS`, not a number where there is none; `anchor` and
        `tried`, where it began and where it tried to go.
        """
        tried = taken.alpha * taken.solution.displacement
        length = vector_norm(taken.displacement).double()
        vanishes = abs(taken.alpha) * vector_norm(taken.solution.displacement) <= _ROUNDING * vector_norm(theta)
        notes = {
            "sums": torch.stack([length, vanishes.double()]),
            "columns": _columns(around, taken, float(length)),
            "anchor": theta,
            "tried": theta + tried,
        }
        gradient = unflattened(around.model.gradient, self.objective.network.shapes)
        return Told(gradient, around.model.point, theta.new_tensor(around.loss), notes)

    def _place(self, theta: Float[Tensor, " p"], damping: float, inner: InnerMemory) -> Place:
        memory = {"damping": {_NEXT: torch.tensor(damping, dtype=torch.float64)}, "inner": inner}
        return Place(unflattened(theta, self.objective.network.shapes), memory)


def _columns(around: Surroundings, taken: Taken, length: float) -> Float64[Tensor, " columns"]:
    settings, solution, curvature = around.settings, taken.solution, around.largest_curvature
    cut_short = 1 / (settings.inner.learning_rate * settings.inner.steps) if settings.solver in _DESCENDING else 0.0
    columns = {
        "step_damping": taken.damping,
        "damping_relative": taken.damping / curvature if curvature > 0 else None,
        "effective_damping": taken.damping + cut_short,
        "alpha": taken.alpha,
        "rho": taken.rho,
        "step_norm": length,
    }
    if solution.iterations is not None:
        prefix = "cg" if (settings.solver, settings.kind) == ("cg", "ggn") else "inner"
        columns |= {f"{prefix}_iters": solution.iterations, f"{prefix}_rel_residual": solution.relative_residual}
    numbers = [columns.get(name) for name in STEP_MEASUREMENTS]
    return torch.tensor([math.nan if value is None else value for value in numbers], dtype=torch.float64)
