"""Data drawn from a law that is known: labels depend on a few directions of the inputs.

Each set is one pool, drawn once from a frozen generator; `train_offset` and `test_offset` choose other samples of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float64, Int64

DIMENSIONS = 40
POOL = 16_000
"""Samples of each split."""
_MEDIAN_OF_HALF_NORMAL = 0.6744897501960817


def read(name: str) -> Mapping[str, np.ndarray]:
    """Return the pool of a generated data set, of float32 inputs (samples, dimensions)."""
    draw, label = LAWS[name]
    inputs = draw(np.random.RandomState(0), 2 * POOL)
    labels = label(inputs @ relevant_directions(name))
    return {
        "train_inputs": inputs[:POOL].astype(np.float32),
        "train_labels": labels[:POOL],
        "test_inputs": inputs[POOL:].astype(np.float32),
        "test_labels": labels[POOL:],
    }


def relevant_directions(name: str) -> Float64[np.ndarray, "dimensions relevant"]:
    """Return an orthonormal basis of the directions that decide a label."""
    if name == "sparse_parity":
        return np.eye(DIMENSIONS)[:, :2]
    direction = np.random.RandomState(1).normal(size=(DIMENSIONS, 1))
    return direction / np.linalg.norm(direction)


def _signs(random: np.random.RandomState, samples: int) -> Float64[np.ndarray, "samples dimensions"]:
    return random.choice([-1.0, 1.0], size=(samples, DIMENSIONS))


def _normal(random: np.random.RandomState, samples: int) -> Float64[np.ndarray, "samples dimensions"]:
    return random.normal(size=(samples, DIMENSIONS))


def _same_sign(projections: Float64[np.ndarray, "samples 2"]) -> Int64[np.ndarray, " samples"]:
    """Return 1 where x_1 x_2 > 0: a label that no linear function of x tells anything about."""
    return (projections.prod(1) > 0).astype(np.int64)


def _far_from_the_middle(projections: Float64[np.ndarray, "samples 1"]) -> Int64[np.ndarray, " samples"]:
    """Return 1 for the half of the samples with the larger |<u, x>|: even in x, so without a linear part as well."""
    return (np.abs(projections[:, 0]) > _MEDIAN_OF_HALF_NORMAL).astype(np.int64)


_Draw = Callable[[np.random.RandomState, int], np.ndarray]
_Label = Callable[[np.ndarray], np.ndarray]

# Name -> how inputs are drawn, and the label as a function of their projections onto the relevant directions.
LAWS: Mapping[str, tuple[_Draw, _Label]] = MappingProxyType(
    {"sparse_parity": (_signs, _same_sign), "single_index": (_normal, _far_from_the_middle)}
)
sparse_parity, single_index = (partial(read, name) for name in LAWS)
