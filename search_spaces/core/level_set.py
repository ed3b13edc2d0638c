"""Level sets: on which side of a level a noisy response lies, cell by cell of a grid.

A Gaussian process is fitted to the response as seen from the level: its distance to the level, squashed by tanh. A
plateau then looks alike however high it is, and a diverged trial at -1e30 does not drown the rest; the sign, which is
all that matters, stays. Replicates of a cell enter as their mean with the noise's variance over their number.

Source: Gaussian processes, Rasmussen and Williams (2006), section 2.2; replicates, Binois, Gramacy and Ludkovski, arXiv
1611.05902; the choice of the next cells, the targeted mean square error of Picheny et al., Journal of Mechanical Design
132 (2010), 071008, with the probability of misclassification as its weight. Like the straddle heuristic of Bryan et
al., NeurIPS 2005, it prefers what is close to the level and uncertain; unlike it, it knows what replicates tell.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.special import ndtr
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Kernel, Matern, WhiteKernel

Array = np.ndarray
Told = Mapping[int, Sequence[float]]
"""Cell -> the responses of its replicates."""

FITTED = 256
"""Responses that the kernel's parameters are fitted to; all enter the posterior."""
WEIGHED = 1200
"""Cells that may be chosen next, the most doubtful ones: of their covariance there are 11 MB."""
_JITTER = 1e-6


@dataclass(frozen=True)
class Posterior:
    """What is known of the response's side of the level.

    Attributes:
        coordinates: cells x axes, in [0, 1].
        mean: Expected squashed distance to the level, positive above.
        deviation: Standard deviation of that.
        noise: Variance of one replicate.
    """

    coordinates: Array
    mean: Array
    deviation: Array
    noise: float
    process: GaussianProcessRegressor

    @cached_property
    def misclassified(self) -> Array:
        """Probability for each cell that it lies on the other side of the level than its mean."""
        return ndtr(-np.abs(self.mean) / self.deviation)

    def covariance(self, cells: Array) -> Array:
        """Return the covariance between some of the cells."""
        return np.asarray(self.process.predict(self.coordinates[cells], return_cov=True)[1])


def posterior(coordinates: Array, told: Told, level: float) -> Posterior:
    """Return what the replicates say of every cell; the same for the same replicates, in whatever order they came."""
    cells = sorted(cell for cell, responses in told.items() if responses)
    scale = float(np.median([abs(response - level) for cell in cells for response in told[cell]]))
    seen = {cell: np.tanh((np.sort(told[cell]) - level) / max(scale, 1e-12)) for cell in cells}
    return _conditioned(coordinates, seen)


def steepest_level(coordinates: Array, shape: Sequence[int], told: Told) -> float:
    """Return the response at which it changes most: its mean over the grid, weighted by its squared gradient.

    Between two phases, each a plateau, this is half-way from one to the other.
    """
    responses = np.concatenate([np.asarray(told[cell], float) for cell in sorted(told)])
    middle, scale = float(np.median(responses)), float(np.ptp(responses)) or 1.0
    surface = _conditioned(coordinates, {cell: (np.sort(told[cell]) - middle) / scale for cell in sorted(told)})
    field = surface.mean.reshape(shape)
    slopes = [np.gradient(field, axis=axis) for axis in range(field.ndim) if shape[axis] > 1]
    steepness = np.sum(np.square(slopes), axis=0)
    total = float(steepness.sum())
    return middle + scale * float((steepness * field).sum() / total) if total > 0 else middle


def most_telling(known: Posterior, under_way: Sequence[int], free: Array, count: int) -> list[int]:
    """Return the cells whose next replicates lower the doubt about the boundary most, one after another.

    A cell may come more than once: where noise decides, a further seed tells more than a further cell. A replicate that
    is chosen or under way is taken to confirm the expectation, so that it lowers variances alone.

    Args:
        known: What is known.
        under_way: Cells of which a replicate runs, once for each.
        free: For each cell the number of replicates that may still be asked for.
        count: How many to choose at most.
    """
    weighed = _doubtful(known, under_way, free)
    place = {int(cell): at for at, cell in enumerate(weighed)}
    covariance, mean, left = known.covariance(weighed), known.mean[weighed], free[weighed].copy()
    for cell in under_way:
        _observe(covariance, place[cell], known.noise)
    chosen: list[int] = []
    while len(chosen) < count and left.any():
        gain = np.where(left > 0, _gain(mean, covariance, known.noise), -np.inf)
        best = int(np.argmax(gain))
        _observe(covariance, best, known.noise)
        left[best] -= 1
        chosen.append(int(weighed[best]))
    return chosen


def _gain(mean: Array, covariance: Array, noise: float) -> Array:
    """Return by how much a replicate of each cell lowers the cells' variance, weighted by their doubt."""
    variance = np.maximum(np.diag(covariance), _JITTER)
    doubt = ndtr(-np.abs(mean) / np.sqrt(variance))
    return np.asarray(doubt @ np.square(covariance) / (variance + noise))


def _observe(covariance: Array, cell: int, noise: float) -> None:
    """Condition a covariance on one more replicate of a cell."""
    column = covariance[:, cell].copy()
    covariance -= np.outer(column, column / (column[cell] + noise + _JITTER))


def _doubtful(known: Posterior, under_way: Sequence[int], free: Array) -> Array:
    """Return the cells to weigh: all of a small grid, else the most doubtful."""
    if len(free) <= WEIGHED:
        return np.arange(len(free))
    doubt = known.misclassified + (free > 0)
    return np.union1d(np.argsort(-doubt, kind="stable")[:WEIGHED], np.asarray(under_way, int))


def _conditioned(coordinates: Array, seen: Mapping[int, Array]) -> Posterior:
    cells = np.fromiter(seen, int)
    counts = np.array([len(responses) for responses in seen.values()])
    kernel, noise = _fitted(coordinates[np.repeat(cells, counts)], np.concatenate(list(seen.values())))
    process = GaussianProcessRegressor(kernel, alpha=noise / counts + _JITTER, optimizer=None)
    process.fit(coordinates[cells], [responses.mean() for responses in seen.values()])
    mean, deviation = process.predict(coordinates, return_std=True)
    return Posterior(coordinates, mean, np.maximum(deviation, _JITTER), noise, process)


def _fitted(coordinates: Array, responses: Array) -> tuple[Kernel, float]:
    """Return the kernel and the variance of the noise that make the responses most likely."""
    axes = coordinates.shape[1]
    smooth = ConstantKernel(1.0, (0.05, 20.0)) * Matern([0.3] * axes, (1 / 64, 4.0), nu=1.5)
    process = GaussianProcessRegressor(smooth + WhiteKernel(0.05, (1e-4, 1.0)), alpha=1e-8)
    some = np.linspace(0, len(responses) - 1, min(FITTED, len(responses))).astype(int)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a parameter at its bound: no noise, or no dependence
        process.fit(coordinates[some], responses[some])
    return process.kernel_.k1, float(process.kernel_.k2.noise_level)
