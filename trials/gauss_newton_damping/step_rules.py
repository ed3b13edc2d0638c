"""Step rules: from what surrounds a point, how far to go along a damped step, and which damping the next one has."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from trials.gauss_newton_damping.objective import CodedExamples, Objective
from trials.gauss_newton_damping.proximal import STEP_KINDS
from trials.gauss_newton_damping.quadratic import QuadraticModel, gauss_newton_model, largest_curvature
from trials.gauss_newton_damping.solvers import InnerSettings, Solution, Solve

if TYPE_CHECKING:
    from jaxtyping import Float

_ARMIJO = 1e-4
_SMALLEST_ALPHA = 2.0**-40
_POOR, _GOOD = 1 / 4, 3 / 4
_RAISED, _LOWERED = 3 / 2, 2 / 3


@dataclass(frozen=True, kw_only=True)
class StepSettings:
    """How steps are computed, wherever they are: by one of `STEP_KINDS`, with a solver that is chosen, not `auto`.

    The learning rate is alpha of a full step, the dampings are those among which `damping_search` chooses.
    """

    kind: str
    solver: str
    inner: InnerSettings
    learning_rate: float
    dampings: Sequence[float] = ()


@dataclass(frozen=True, kw_only=True, eq=False)
class Surroundings:
    """The objective around a point, as a step rule sees it.

    Attributes:
        model: The quadratic model.
        loss: L at the point.
        largest_curvature: Largest eigenvalue of J^T H J / n.
        solve: Damping -> the damped step.
        loss_after: Displacement -> L there.
        model_after: Displacement -> what the model, without its damping term, says that L is there.
        settings: How steps are computed.
    """

    model: QuadraticModel
    loss: float
    largest_curvature: float
    solve: Solve
    loss_after: Callable[[Tensor], float]
    model_after: Callable[[Tensor], float]
    settings: StepSettings


def surroundings(
    objective: Objective,
    theta: Float[Tensor, " p"],
    shown: CodedExamples | tuple[Tensor, Tensor],
    settings: StepSettings,
) -> Surroundings:
    """Return the surroundings of a point, on one batch.

    Raises:
        torch.linalg.LinAlgError: A decomposition does not converge.
    """
    batch = CodedExamples(*shown)
    jacobian = objective.jacobian(objective.network, theta, batch.inputs)
    model = gauss_newton_model(jacobian, objective.loss, batch.targets)
    kind = STEP_KINDS[settings.kind]
    return Surroundings(
        model=model,
        loss=float(objective.loss.mean(model.point, batch.targets)),
        largest_curvature=largest_curvature(model),
        solve=kind.solve(model, batch.targets, settings.solver, settings.inner),
        loss_after=lambda displacement: objective.value(theta + displacement, batch),
        model_after=lambda displacement: float(kind.prediction(model, batch.targets, jacobian.times(displacement))),
        settings=settings,
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class Taken:
    """A step that was taken.

    Attributes:
        displacement: What is added to the parameters: 0 where the step was rejected.
        solution: The damped step as it was solved.
        damping: That of this step.
        next_damping: That of the next.
        alpha: Fraction of the damped step that was tried; 0 where no fraction lowers the loss.
        rho: Actual over predicted decrease of the loss, at the step that was tried; not finite where the loss is not.
    """

    displacement: Float[Tensor, " p"]
    solution: Solution
    damping: float
    next_damping: float
    alpha: float
    rho: float


StepRule = Callable[[Surroundings, float], Taken]


def full_step(around: Surroundings, damping: float) -> Taken:
    """Take the whole damped step, times the learning rate, whether or not the loss falls."""
    return _taken(around, damping, around.solve(damping), around.settings.learning_rate)


def line_search(around: Surroundings, damping: float) -> Taken:
    """Halve alpha until the loss has fallen by a small part of what its gradient promises.

    Source: Nocedal and Wright, Numerical Optimization, 2nd edition, section 3.1, equation 3.4 and algorithm 3.1.
    """
    solution = around.solve(damping)
    promised = float(around.model.gradient @ solution.displacement)
    alpha = around.settings.learning_rate
    while not around.loss_after(alpha * solution.displacement) <= around.loss + _ARMIJO * alpha * promised:
        alpha /= 2
        if alpha < _SMALLEST_ALPHA:
            return _taken(around, damping, solution, 0.0)
    return _taken(around, damping, solution, alpha)


def adaptive_damping(around: Surroundings, damping: float) -> Taken:
    """Raise the damping where the model promised too much, lower it where it can be trusted; refuse to go uphill.

    The thresholds are those of textbooks; a trial under this rule is not a point on the axis of dampings.

    Source: Martens, "Deep learning via Hessian-free optimization", ICML 2010, section 4.1.
    """
    taken = _taken(around, damping, around.solve(damping), around.settings.learning_rate)
    poor = not taken.rho >= _POOR
    factor = _RAISED if poor else _LOWERED if taken.rho > _GOOD else 1.0
    uphill = not around.loss_after(taken.displacement) <= around.loss
    displacement = torch.zeros_like(taken.displacement) if uphill else taken.displacement
    return replace(taken, displacement=displacement, next_damping=damping * factor)


def damping_search(around: Surroundings, damping: float) -> Taken:
    """Try every damping and take the one whose step lowers the loss most; a spectrum makes each of them cheap."""
    solved = {value: around.solve(value) for value in around.settings.dampings}
    losses = {
        value: around.loss_after(around.settings.learning_rate * solution.displacement)
        for value, solution in solved.items()
    }
    best = min(solved, key=lambda value: losses[value] if math.isfinite(losses[value]) else math.inf)
    return _taken(around, best, solved[best], around.settings.learning_rate)


STEP_RULES: Mapping[str, StepRule] = MappingProxyType(
    {
        "full": full_step,
        "line_search": line_search,
        "lm_adaptive": adaptive_damping,
        "damping_search": damping_search,
    }
)


def logarithmic_dampings(lowest: float, highest: float, count: int) -> tuple[float, ...]:
    """Return dampings evenly spaced in the logarithm, to 12 digits, both ends included."""
    decades = math.log10(highest / lowest)
    return tuple(float(f"{lowest * 10 ** (decades * index / (count - 1)):.12g}") for index in range(count))


def _taken(around: Surroundings, damping: float, solution: Solution, alpha: float) -> Taken:
    displacement = alpha * solution.displacement
    predicted = around.loss - around.model_after(displacement)
    actual = around.loss - around.loss_after(displacement)
    return Taken(
        displacement=displacement,
        solution=solution,
        damping=damping,
        next_damping=damping,
        alpha=alpha,
        rho=actual / predicted if predicted else math.nan,
    )
