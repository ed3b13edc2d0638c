"""The objective around a point: its quadratic model there, and what a step rule needs of both."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from trials.gauss_newton_damping.objective import CodedExamples
from trials.gauss_newton_damping.proximal import STEP_KINDS
from trials.gauss_newton_damping.quadratic import QuadraticModel, gauss_newton_model, largest_curvature

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    from trials.gauss_newton_damping.objective import Objective
    from trials.gauss_newton_damping.solvers import InnerSettings, Solve


@dataclass(frozen=True, kw_only=True)
class StepSettings:
    """How steps are computed, wherever they are.

    Attributes:
        kind: One of `STEP_KINDS`.
        solver: One that is chosen, not `auto`.
        inner: For solvers that iterate.
        learning_rate: alpha of a full step.
        dampings: Those among which `damping_search` chooses.
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
