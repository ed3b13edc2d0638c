"""Bootstrap intervals over few seeds hold what they say, and no more than what two or three seeds can say."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.core.bootstrap import interval_ends, resampled_means

EXPERIMENTS = 200


def coverage(seeds: int) -> float:
    """Return how often the interval of a mean holds the truth, 0, where the noise of seeds is normal."""
    table = np.random.default_rng(seeds).normal(size=(seeds, EXPERIMENTS))
    (means,) = resampled_means(table)
    low, high = interval_ends(means, seeds)
    return float(((low <= 0) & (high >= 0)).mean())


@pytest.mark.parametrize("seeds", [5, 10])
def test_intervals_of_five_seeds_and_more_hold_the_truth(seeds: int) -> None:
    """Plain percentiles come to 0.82 and 0.90."""
    assert coverage(seeds) == pytest.approx(0.95, abs=0.045)  # three standard errors of the experiments


@pytest.mark.parametrize("seeds", [2, 3, 4])
def test_fewer_seeds_span_all_resamples_and_hold_a_known_share(seeds: int) -> None:
    values = np.arange(float(seeds))[:, None] ** 2
    low, high = interval_ends(resampled_means(values)[0], seeds)
    assert (low[0], high[0]) == pytest.approx((0, (seeds - 1) ** 2), abs=0.1 * (seeds - 1) ** 2)
    assert coverage(seeds) == pytest.approx(1 - 2 ** (1 - seeds), abs=0.11)


def test_tables_are_resampled_by_the_same_seeds() -> None:
    """What a seed does to all of them is no uncertainty of their difference."""
    one = np.random.default_rng(0).normal(size=(6, 2))
    means, shifted = resampled_means(one, one + np.array([1.0, 2.0]))
    assert np.allclose(shifted - means, [1.0, 2.0])
    assert means.std(0) == pytest.approx(one.std(0) / np.sqrt(6), rel=0.05)


def test_one_seed_has_no_interval() -> None:
    assert np.isnan(interval_ends(np.zeros((3, 2)), 1)).tolist() == [[True, True], [True, True]]
