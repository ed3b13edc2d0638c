"""Accuracy on fresh samples, whose noise the network has never seen."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch.nn.functional import pad

from trials.multi_view.patches import activation

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    from trials.core.training.places import Vector
    from trials.multi_view.noise import Geometry
    from trials.multi_view.projections import Projected


def fresh_factor(
    geometry: Geometry,
    projected: Projected,
    start: Vector,
    end: Vector,
    scale: float,
    dimension: int,
    *,
    overlaps: bool = False,
) -> Float[Tensor, "channels channels"]:
    """Return the factor F with which standard normals u become the channels' projections F u on fresh noise of norm 1.

    Noise orthogonal to the training set meets only what the weights were at first. Normal noise meets all of them: its
    projections have the covariance W W^T / d, and W differs from its start only within the span of the training set.

    Args:
        geometry: The training set's directions.
        projected: What one training trains, from `start` to `end`.
        start: Where it began.
        end: Where it has led.
        scale: sigma_0.
        dimension: Entries of a patch (d).
        overlaps: Whether fresh noise is normal where the directions of the training set are orthonormal.
    """
    first, last = (_on_directions(projected, point) for point in (start, end))
    if geometry.gram is None or geometry.weights_product is None:
        unmoved = scale * torch.eye(len(last), dtype=torch.float64)
        # Beyond the training set W has d - m normal coordinates, whose product is close to what it is expected to be.
        beyond = (dimension - last.shape[1]) * unmoved.square()
        return _root((last @ last.T + beyond) / dimension) if overlaps else unmoved
    moved = (last - first) @ geometry.gram_inverse
    crossed = first @ moved.T
    product = scale**2 * geometry.weights_product + crossed + crossed.T + moved @ (last - first).T
    return _root(product / dimension)


def fresh_noise(
    factor: Float[Tensor, "channels channels"], magnitudes: Sequence[float], samples: int, random: torch.Generator
) -> Float[Tensor, "samples noises channels"]:
    """Return the channels' projections on the noise of fresh samples, whose norms are `magnitudes`."""
    normal = torch.randn(samples, len(magnitudes), len(factor), generator=random, dtype=torch.float64)
    return (normal @ factor.T) * torch.tensor(magnitudes, dtype=torch.float64)[:, None]


def test_columns(
    features: Float[Tensor, "channels features"],
    noise: Float[Tensor, "samples noises channels"],
    views: int,
    exponent: int,
) -> dict[str, float | list[float]]:
    """Return the accuracies on fresh samples by view, and by whether the spurious feature is right."""
    spurious = features.shape[1] > views
    of_kinds = accuracies(kinds(views, features.shape[1]), features, noise, exponent).reshape(-1, views)
    by_view = of_kinds[0]
    return {
        "test_acc_view": by_view.tolist(),
        "test_acc_common": float(by_view[0]),
        "test_acc_rare_mean": float(by_view[1:].mean()),
        "worst_view_acc": float(by_view.min()),
        "majority_acc": float(of_kinds[1].mean()) if spurious else math.nan,
        "minority_acc": float(of_kinds[2].mean()) if spurious else math.nan,
    }


def accuracies(
    alignments: Float[Tensor, "kinds features"],
    features: Float[Tensor, "channels features"],
    noise: Float[Tensor, "samples noises channels"],
    exponent: int,
) -> Float[Tensor, " kinds"]:
    """Return the share of fresh samples of each kind that are classified; an output of 0 is an error.

    Alignments tell which features a kind of sample carries, label times sign; the rest are the channels' projections.
    """
    signal = alignments @ activation(features, exponent).sum(0)
    margins = signal[:, None] + activation(noise, exponent).sum((1, 2))
    return (margins > 0).double().mean(1)


def kinds(views: int, features: int) -> Float[Tensor, "kinds features"]:
    """Return the kinds of fresh samples: each view alone, with the spurious feature right, and with it wrong.

    Without a spurious feature there are only the views.
    """
    alone = torch.eye(views, dtype=torch.float64)
    if features == views:
        return alone
    return torch.cat([pad(alone, (0, 1), value=sign) for sign in (0.0, 1.0, -1.0)])


def _on_directions(projected: Projected, point: Vector) -> Float[Tensor, "channels directions"]:
    """Return one training's projections on the unit directions of its training set."""
    feature_norms, noise_norms = projected.feature_magnitudes[0], projected.noise_magnitudes[0, :, None]
    return torch.cat([point["features"][0] / feature_norms, (point["noise"][0] / noise_norms).flatten(1)], dim=1).cpu()


def _root(covariance: Float[Tensor, "channels channels"]) -> Float[Tensor, "channels channels"]:
    """Return a factor F with F F^T the covariance."""
    eigenvalues, vectors = torch.linalg.eigh(covariance)
    return vectors * eigenvalues.clamp(min=0).sqrt()
