"""What is measured of a damped step, by the names of columns."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import cache
from typing import TYPE_CHECKING

import torch

from trials.core.rows import Measurement

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    from trials.core.curvature.objective import Objective, Split
    from trials.core.curvature.step_rules import Taken
    from trials.core.curvature.surroundings import Surroundings
    from trials.core.rows import Value

_DESCENDING = ("gradient_descent", "gradient_descent_spectral")

STEP_MEASUREMENTS = {
    "step_damping": Measurement(meaning="damping of the row's step, absolute", unit="mean loss", inner_axis=True),
    "damping_relative": Measurement(meaning="damping of the row's step over the largest curvature there"),
    "effective_damping": Measurement(
        meaning="damping of the row's step, plus 1/(rate x steps) where inner gradient descent is cut short",
        unit="mean loss",
    ),
    "alpha": Measurement(meaning="fraction of the damped step that was tried; 0 where none lowers the loss"),
    "rho": Measurement(meaning="actual over predicted decrease of the loss at the row's step; null where not finite"),
    "step_norm": Measurement(meaning="length of the row's step in parameter space, 0 where it was rejected"),
    "test_loss_lin": Measurement(
        meaning="test loss of the linearisation at the beginning of the row's step, at its end", unit="nats or squares"
    ),
    "test_acc_lin": Measurement(
        meaning="test accuracy of the linearisation at the beginning of the row's step, at its end"
    ),
    "cg_iters": Measurement(meaning="iterations of conjugate gradients in the row's step", type=int),
    "cg_rel_residual": Measurement(meaning="residual that conjugate gradients left, over the gradient's norm"),
    "inner_iters": Measurement(meaning="inner steps of gradient descent, Adam or Newton in the row's step", type=int),
    "inner_rel_residual": Measurement(
        meaning="what inner steps left: gradient over the first gradient, for Newton its last relative move"
    ),
}


def step_columns(
    objective: Objective, around: Surroundings, taken: Taken, theta: Float[Tensor, " p"], test: Split
) -> Callable[[], Mapping[str, Value]]:
    """Return what gives the columns of a step that began at `theta`; those that do not apply are left out.

    The test examples are looked at when the columns are first asked for, since most steps have no row. What is kept
    until then are vectors of parameters, and no Jacobian.
    """
    tried = taken.alpha * taken.solution.displacement
    curvature = around.largest_curvature
    columns: dict[str, Value] = {
        "step_damping": taken.damping,
        "damping_relative": taken.damping / curvature if curvature > 0 else None,
        "effective_damping": taken.damping + _cut_short(around),
        "alpha": taken.alpha,
        "rho": finite(taken.rho),
        "step_norm": float(torch.linalg.vector_norm(taken.displacement)),
        **_iterations(around, taken),
    }

    @cache
    def with_linearised_test() -> Mapping[str, Value]:
        linear = objective.linearised_fit(theta, theta + tried, test)
        return {**columns, "test_loss_lin": finite(linear.loss), "test_acc_lin": linear.accuracy}

    return with_linearised_test


def finite(number: float) -> float | None:
    """Return the number, None where it is infinite or none."""
    return number if math.isfinite(number) else None


def _cut_short(around: Surroundings) -> float:
    inner = around.settings.inner
    return 1 / (inner.learning_rate * inner.steps) if around.settings.solver in _DESCENDING else 0.0


def _iterations(around: Surroundings, taken: Taken) -> dict[str, Value]:
    solution = taken.solution
    if solution.iterations is None:
        return {}
    by_gradients = around.settings.solver == "cg" and around.settings.kind == "ggn"
    prefix = "cg" if by_gradients else "inner"
    left = None if solution.relative_residual is None else finite(solution.relative_residual)
    return {f"{prefix}_iters": solution.iterations, f"{prefix}_rel_residual": left}
