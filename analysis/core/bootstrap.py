"""Bootstrap intervals over a few seeds, for what is no mean: ratios of differences, places where curves cross.

Source: Hesterberg, "What Teachers Should Know about the Bootstrap", arXiv 1411.5279, for the expanded percentile
interval: plain percentiles of few seeds make intervals too short.
"""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np

from analysis.core.seed_means import COVERAGE

_RESAMPLES = 10_000


def resampled_means(*tables: np.ndarray) -> list[np.ndarray]:
    """Return means over seeds that are drawn with replacement, the same seeds for all tables.

    What is compared between tables (seeds, columns) keeps what a seed does to both.
    """
    seeds = len(tables[0])
    chosen = np.random.default_rng(0).integers(seeds, size=(_RESAMPLES, seeds))
    return [table[chosen].mean(1) for table in tables]


def interval_ends(values: np.ndarray, seeds: int) -> tuple[np.ndarray, np.ndarray]:
    """Return both ends of the interval of 95 % of each column of resampled values.

    Of a mean it is about as wide as Student's from five seeds on. Two to four seeds have too few resamples for that:
    the ends are the smallest and the largest of them, and hold the truth in a share of 1 - 2^(1 - seeds) of cases.

    Args:
        values: What each resample comes to, (resamples, columns).
        seeds: Seeds that were drawn from; ends are not a number where it is one.
    """
    from scipy.stats import t as student

    if seeds < 2:
        return np.full(values.shape[1], np.nan), np.full(values.shape[1], np.nan)
    expanded = math.sqrt(seeds / (seeds - 1)) * student.ppf((1 + COVERAGE) / 2, seeds - 1)
    tail = NormalDist().cdf(-expanded)
    low, high = np.quantile(values, (tail, 1 - tail), axis=0)
    return low, high
