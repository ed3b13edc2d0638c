"""Rules that turn a gradient into the direction of a step, with what they remember.

Linear rules add and scale vectors and do nothing else. They may run in any coordinates in which vectors add
as they do in parameter space, such as those of a round in function space.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import torch

from trials.core.parameters import Parameters

Memory = Mapping[str, Parameters]
"""What a rule remembers: by name, vectors with the entries of the parameters."""

_FIRST_DECAY, _SECOND_DECAY, _EPSILON = 0.9, 0.999, 1e-8


@dataclass(frozen=True)
class Rule:
    """How the direction of a step follows from the gradient.

    Attributes:
        beginning: Parameters -> the memory before the first step.
        direction: (gradient, memory) -> direction and new memory; a step goes against the direction.
        is_linear: Whether the rule adds and scales vectors and does nothing else.
    """

    beginning: Callable[[Parameters], Memory]
    direction: Callable[[Parameters, Memory], tuple[Parameters, Memory]]
    is_linear: bool = True


def plain(momentum: float) -> Rule:
    """Return the rule whose direction is the gradient."""
    return Rule(lambda parameters: {}, lambda gradient, memory: (gradient, memory))


def heavy_ball(momentum: float) -> Rule:
    """Return the rule v <- momentum v + g, whose direction is v.

    Source: Polyak, "Some methods of speeding up the convergence of iteration methods", 1964; as `torch.optim.SGD`.
    """

    def direction(gradient: Parameters, memory: Memory) -> tuple[Parameters, Memory]:
        before = memory["velocity"]
        velocity = {name: torch.add(value, before[name], alpha=momentum) for name, value in gradient.items()}
        return velocity, {"velocity": velocity}

    return Rule(lambda parameters: {"velocity": _zeros(parameters)}, direction)


def look_ahead(momentum: float) -> Rule:
    """Return the rule v <- momentum v + g, whose direction is g + momentum v.

    Source: Sutskever et al., "On the importance of initialization and momentum in deep learning", ICML 2013,
    section 2, in the form of `torch.optim.SGD`.
    """
    ball = heavy_ball(momentum)

    def direction(gradient: Parameters, memory: Memory) -> tuple[Parameters, Memory]:
        velocity, memory = ball.direction(gradient, memory)
        return {name: torch.add(value, velocity[name], alpha=momentum) for name, value in gradient.items()}, memory

    return Rule(ball.beginning, direction)


def adam(momentum: float) -> Rule:
    """Return Adam's rule with decays 0.9 and 0.999, both means corrected for beginning at zero.

    Source: Kingma and Ba, arXiv 1412.6980, algorithm 1.
    """

    def direction(gradient: Parameters, memory: Memory) -> tuple[Parameters, Memory]:
        steps = {name: value + 1 for name, value in memory["steps"].items()}
        means = {name: value.lerp(gradient[name], 1 - _FIRST_DECAY) for name, value in memory["mean"].items()}
        squares = {
            name: _SECOND_DECAY * value + (1 - _SECOND_DECAY) * gradient[name].square()
            for name, value in memory["square"].items()
        }
        towards = {name: _adams(means[name], squares[name], steps[name]) for name in gradient}
        return towards, {"mean": means, "square": squares, "steps": steps}

    def beginning(parameters: Parameters) -> Memory:
        counts = {name: value.new_zeros(()) for name, value in parameters.items()}
        return {"mean": _zeros(parameters), "square": _zeros(parameters), "steps": counts}

    return Rule(beginning, direction, is_linear=False)


def _adams(mean: torch.Tensor, square: torch.Tensor, steps: torch.Tensor) -> torch.Tensor:
    size = (square / (1 - _SECOND_DECAY**steps)).sqrt() + _EPSILON
    return mean / (1 - _FIRST_DECAY**steps) / size


def _zeros(parameters: Parameters) -> Parameters:
    return {name: torch.zeros_like(value) for name, value in parameters.items()}


RULES: Mapping[str, Callable[[float], Rule]] = MappingProxyType({"sgd": plain, "momentum": heavy_ball, "adam": adam})
REACHES: Mapping[str, Callable[[float, float], float | None]] = MappingProxyType(
    {
        "sgd": lambda rate, momentum: rate,
        "momentum": lambda rate, momentum: rate / (1 - momentum) if momentum < 1 else None,
        "adam": lambda rate, momentum: None,
    }
)
"""(learning rate, momentum) -> how far a gradient moves the parameters in the end, over itself; None where that depends
on other gradients."""
