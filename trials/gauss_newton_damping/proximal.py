"""The damped step reached another way: training the linearised network with a pull back to where it was linearised.

A round of iterative linearisation minimises over delta the mean loss of f + J delta plus damping / 2 ||delta||^2. With
the squared error its minimiser is the damped Gauss-Newton step; with cross-entropy it is another step (`prox_linear`),
of which the Gauss-Newton step is Newton's first iterate.

Source: Goldwaser and Ge, arXiv 2211.12345; Drusvyatskiy and Paquette, arXiv 1605.00125, section 1 (prox-linear steps).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from trials.gauss_newton_damping.quadratic import QuadraticModel, newton_model
from trials.gauss_newton_damping.solvers import QUADRATIC_SOLVERS, InnerMemory, InnerSettings, Solution, Solve

if TYPE_CHECKING:
    from jaxtyping import Float


_NEWTON_ITERATIONS = 50
_NEWTON_TOLERANCE = 1e-10  # of a move, relative to the point
_SHORTEST = 1e-8  # part of a Newton move: below it the objective is at its rounding


Move = tuple[Tensor, InnerMemory]
"""What an inner step subtracts, and what it remembers for the next."""


def gradient_move(slope: Float[Tensor, " p"], memory: InnerMemory, iteration: int, settings: InnerSettings) -> Move:
    """Return a step of gradient descent, which remembers nothing."""
    return settings.learning_rate * slope, memory


def adam_move(slope: Float[Tensor, " p"], memory: InnerMemory, iteration: int, settings: InnerSettings) -> Move:
    """Return a step of Adam whose rate falls to 0 by a cosine over the round; it counts its moves over all rounds.

    Source: Kingma and Ba, arXiv 1412.6980, algorithm 1, with its default decay rates.
    """
    mean, square = memory.get("mean", 0.0), memory.get("square", 0.0)
    mean, square = 0.9 * mean + 0.1 * slope, 0.999 * square + 0.001 * slope.square()
    moves = 1 + (int(memory["moves"]) if memory else 0)
    scale = torch.sqrt(square / (1 - 0.999**moves)) + 1e-8
    rate = settings.learning_rate * (1 + math.cos(math.pi * iteration / settings.steps)) / 2
    remembered = {"mean": mean, "square": square, "moves": torch.tensor(moves)}
    return rate * mean / (1 - 0.9**moves) / scale, remembered


MOVES: Mapping[str, Callable[[Tensor, InnerMemory, int, InnerSettings], Move]] = MappingProxyType(
    {"gradient_descent": gradient_move, "adam": adam_move}
)


def gauss_newton_solve(
    model: QuadraticModel, targets: Float[Tensor, "n c"], solver: str, settings: InnerSettings
) -> Solve:
    """Return what minimises the quadratic model of the loss, for a damping."""
    if solver not in MOVES:
        return QUADRATIC_SOLVERS[solver](model, settings)
    return _descent(
        model, lambda moved: model.residual + model.loss.curved.hessian(model.point, moved), solver, settings
    )


def prox_linear_solve(
    model: QuadraticModel, targets: Float[Tensor, "n c"], solver: str, settings: InnerSettings
) -> Solve:
    """Return what minimises the loss of the linearised network, for a damping; by Newton where the solver is exact.

    The model is that at the network's own outputs, the solver that of the step, or of each of Newton's.
    """
    jacobian, loss = model.jacobian, model.loss
    if solver in MOVES:
        return _descent(model, lambda moved: loss.curved.gradient(model.point + moved, targets), solver, settings)

    def solve(damping: float) -> Solution:
        def objective(displacement: Tensor) -> float:
            outputs = model.point + jacobian.times(displacement)
            return float(loss.mean(outputs, targets) + damping / 2 * displacement.square().sum())

        def newton(displacement: Tensor) -> Tensor:
            around = newton_model(jacobian, loss, targets, jacobian.times(displacement))
            return QUADRATIC_SOLVERS[solver](around, settings)(damping).displacement

        return _iterated_newton(newton, objective, torch.zeros_like(model.gradient))

    return solve


class StepKind(NamedTuple):
    """A model of the loss around a point: what minimises it, and what it says that the loss is where outputs moved."""

    solve: Callable[[QuadraticModel, Tensor, str, InnerSettings], Solve]
    prediction: Callable[[QuadraticModel, Tensor, Tensor], Tensor]


STEP_KINDS: Mapping[str, StepKind] = MappingProxyType(
    {
        "ggn": StepKind(
            gauss_newton_solve,
            lambda model, targets, moved: model.loss.mean(model.point, targets) + model.change(moved),
        ),
        "prox_linear": StepKind(
            prox_linear_solve, lambda model, targets, moved: model.loss.mean(model.point + moved, targets)
        ),
    }
)


def _descent(
    model: QuadraticModel, response: Callable[[Tensor], Tensor], solver: str, settings: InnerSettings
) -> Solve:
    """Return a full-batch descent on J^T response(J delta) / n + damping delta, from 0 and from a memory."""

    def solve(damping: float) -> Solution:
        point, memory = torch.zeros_like(model.gradient), settings.memory
        first, iteration = 0.0, 0
        while True:
            pull = model.jacobian.transposed_times(response(model.jacobian.times(point)))
            slope = pull / model.samples + damping * point
            norm = float(torch.linalg.vector_norm(slope))
            first = first or norm
            if iteration == settings.steps or norm <= settings.tolerance * first:
                return Solution(point, iteration, norm / first if first else 0.0, memory)
            move, memory = MOVES[solver](slope, memory, iteration, settings)
            point = point - move
            iteration += 1

    return solve


def _iterated_newton(
    newton: Callable[[Tensor], Tensor], objective: Callable[[Tensor], float], origin: Float[Tensor, " p"]
) -> Solution:
    """Go from each point towards its Newton iterate, half as far until the objective falls, until nothing moves."""
    point, value = origin, objective(origin)
    change, length, iterations = 1.0, 1.0, 0
    while iterations < _NEWTON_ITERATIONS and change > _NEWTON_TOLERANCE and length > _SHORTEST:
        towards, length = newton(point) - point, 1.0
        while objective(point + length * towards) > value and length > _SHORTEST:
            length /= 2
        change = float(length * torch.linalg.vector_norm(towards) / torch.linalg.vector_norm(point + towards))
        point = point + length * towards
        value = objective(point)
        iterations += 1
    return Solution(point, iterations, change)
