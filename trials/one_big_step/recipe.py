"""What one large gradient step on the first layer learns: features that a ridge regression on the second layer can use.

It is iterative linearisation in its plainest form: one feature update, then a model that is linear in what is trained.

Source: Ba et al., arXiv 2205.01445, sections 2 and 3 (setting `rank_one`); Damian, Lee, Soltanolkotabi,
arXiv 2206.15144, section 3, algorithm 1 (setting `quadratic`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from trials.core.streams import generator

if TYPE_CHECKING:
    from jaxtyping import Float

    from trials.core.context import TrialContext
    from trials.core.rows import Row
    from trials.one_big_step.knobs import OneBigStepKnobs

RIDGES = tuple(10.0**exponent for exponent in range(-6, 2))


@dataclass(frozen=True, kw_only=True)
class Lesson:
    """A teacher's samples, a network before its step, and where the step goes.

    Attributes:
        direction: The teacher's direction, of length 1.
        splits: Inputs and labels of the step, of the regression and of the test.
        initial: First layer before the step.
        gradient: Negative gradient of half the mean squared error in the first layer.
        stepped: First layer after a step of some length.
        features: (first layer, inputs) -> what the second layer sees.
        limit: The rank-one matrix that the gradient approaches with its size; None where none is known.
    """

    direction: Float[Tensor, " dimensions"]
    splits: tuple[tuple[Tensor, Tensor], ...]
    initial: Float[Tensor, "dimensions units"]
    gradient: Float[Tensor, "dimensions units"]
    stepped: Callable[[float], Float[Tensor, "dimensions units"]]
    features: Callable[[Tensor, Tensor], Float[Tensor, "samples units"]]
    limit: Float[Tensor, "dimensions units"] | None = None


def run(knobs: OneBigStepKnobs, context: TrialContext) -> Iterator[Row]:
    """Take the step, then yield a row for each penalty of the regression on fresh samples."""
    lesson = _LESSONS[knobs.setting](knobs)
    weights = lesson.stepped(knobs.step_size)
    _, (inputs, labels), (test_inputs, test_labels) = lesson.splits
    features, test_features = (lesson.features(weights, each) for each in (inputs, test_inputs))
    for ridge in RIDGES:
        second_layer, linear = (_regression(seen, labels, ridge) for seen in (features, inputs))
        yield {
            "step": 1,
            "ridge": ridge,
            "train_mse": float((features @ second_layer - labels).square().mean()),
            "test_mse": float((test_features @ second_layer - test_labels).square().mean()),
            "test_mse_linear": float((test_inputs @ linear - test_labels).square().mean()),
            "test_variance": float(test_labels.var(correction=0)),
            **_geometry(lesson, weights),
        }


def rank_one(knobs: OneBigStepKnobs) -> Lesson:
    """Return the lesson of a single rectified unit to a network of tanh units, whose gradient is nearly of rank one.

    f(x) = a^T tanh(W^T x) / sqrt(N), a step of length eta adds eta sqrt(N) G. With mu_1 = E tanh'(z), z normal, G is
    close to mu_1 / (n sqrt(N)) X^T y a^T.

    Source: Ba et al., arXiv 2205.01445, section 3.1, proposition 2.
    """
    units, samples = knobs.width, knobs.samples
    direction = _direction(knobs)
    # A rectified standard normal variable has the mean 1 / sqrt(2 pi).
    splits = _splits(knobs, lambda inputs: torch.relu(inputs @ direction) - 1 / math.sqrt(2 * math.pi))
    initial = _drawn(knobs, "initialisation", knobs.dimensions, units) / math.sqrt(knobs.dimensions)
    second = _drawn(knobs, "second layer", units) / math.sqrt(units)
    inputs, labels = splits[0]
    hidden = torch.tanh(inputs @ initial)
    residuals = labels - hidden @ second / math.sqrt(units)
    gradient = inputs.T @ (torch.outer(residuals, second) * (1 - hidden.square())) / (samples * math.sqrt(units))
    points, masses = np.polynomial.hermite_e.hermegauss(64)
    slope = float((masses * (1 - np.tanh(points) ** 2)).sum() / masses.sum())
    return Lesson(
        direction=direction,
        splits=splits,
        initial=initial,
        gradient=gradient,
        stepped=lambda length: initial + length * math.sqrt(units) * gradient,
        features=lambda weights, seen: torch.tanh(seen @ weights) / math.sqrt(units),
        limit=slope / (samples * math.sqrt(units)) * torch.outer(inputs.T @ labels, second),
    )


def quadratic(knobs: OneBigStepKnobs) -> Lesson:
    """Return the lesson of a quadratic to a rectified network that begins at zero and forgets its first layer.

    Labels lose their mean and their linear part, so that a unit's gradient points towards the teacher's direction. Any
    step replaces the weights by the gradient, since its weight decay is one over its length; then columns have length 1
    and biases are random.

    Source: Damian, Lee, Soltanolkotabi, arXiv 2206.15144, section 3, algorithm 1.
    """
    units = knobs.width
    direction = _direction(knobs)
    splits = _splits(knobs, lambda inputs: ((inputs @ direction).square() - 1) / math.sqrt(2))
    half = _drawn(knobs, "initialisation", knobs.dimensions, units // 2)
    initial = torch.cat([half, half], 1)
    signs = torch.ones(units, dtype=torch.float64)
    signs[units // 2 :] = -1
    biases = _drawn(knobs, "biases", units)
    inputs, labels = splits[0]
    left = labels - labels.mean()
    left = left - inputs @ (inputs.T @ left) / len(left)
    gradient = inputs.T @ (torch.outer(left, signs) * (inputs @ initial > 0)) / len(left)
    return Lesson(
        direction=direction,
        splits=splits,
        initial=initial,
        gradient=gradient,
        stepped=lambda length: initial if length == 0 else length * gradient,
        features=lambda weights, seen: torch.relu(seen @ (weights / weights.norm(dim=0)) + biases) / math.sqrt(units),
    )


_LESSONS: Mapping[str, Callable[[OneBigStepKnobs], Lesson]] = MappingProxyType(
    {"rank_one": rank_one, "quadratic": quadratic}
)


def _geometry(lesson: Lesson, weights: Float[Tensor, "dimensions units"]) -> dict[str, float | None]:
    """Return how the weights and the gradient lie towards the teacher's direction."""
    singular = torch.linalg.svdvals(lesson.gradient)
    top = torch.linalg.svd(weights).U[:, 0]
    error = None
    if lesson.limit is not None:
        error = float(torch.linalg.matrix_norm(lesson.gradient - lesson.limit, 2) / singular[0])
    return {
        "neuron_alignment": float((lesson.direction @ weights / weights.norm(dim=0)).abs().mean()),
        "top_alignment": float((lesson.direction @ top).abs()),
        "singular_value_ratio": float(singular[0] / singular[1]),
        "rank_one_error": error,
    }


def _regression(features: Float[Tensor, "n f"], labels: Float[Tensor, " n"], ridge: float) -> Float[Tensor, " f"]:
    """Return argmin over a of mean (features a - labels)^2 + ridge ||a||^2."""
    penalty = ridge * len(labels) * torch.eye(features.shape[1], dtype=features.dtype)
    return torch.linalg.solve(features.T @ features + penalty, features.T @ labels)


def _direction(knobs: OneBigStepKnobs) -> Tensor:
    """Return the teacher's direction, of length 1."""
    drawn = _drawn(knobs, "teacher", knobs.dimensions)
    return drawn / drawn.norm()


def _splits(knobs: OneBigStepKnobs, teacher: Callable[[Tensor], Tensor]) -> tuple[tuple[Tensor, Tensor], ...]:
    inputs = [_drawn(knobs, name, knobs.samples, knobs.dimensions) for name in ("step", "regression", "test")]
    return tuple((each, teacher(each)) for each in inputs)


def _drawn(knobs: OneBigStepKnobs, stream: str, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=generator(knobs.seed, stream), dtype=torch.float64)
