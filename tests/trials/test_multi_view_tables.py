"""Tables of the patch model that another implementation of the same protocol measured, of one seed or three."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from scipy.stats import fisher_exact

from tests.trials.multi_view_trials import ends, mean

pytestmark = pytest.mark.slow

SIGMAS = (1.0, 2.0, 3.0, 4.0, 6.0)
TRANSITION = {
    1: (1.0, 1.0, 1.0, 1.0),
    2: (1.0, 1.0, 1.0, 1.0, 0.596),
    3: (1.0, 1.0, 0.707, 0.506, 0.492),
    4: (1.0, 0.782, 0.555, 0.495, 0.493),
}
AUGMENTATION = {  # arm -> importance ratio of rare views, range of accuracies of the common view and of rare ones
    "none": (10 / 64, (1.0, 1.0), (0.495, 0.515)),
    "views_fresh_noise": (3.125, (1.0, 1.0), (1.0, 1.0)),
    "views_shared_noise": (0.625, (0.51, 0.65), (0.66, 0.81)),
    "fresh_noise": (50 / 64, (1.0, 1.0), (0.72, 0.81)),
}
SCALES = (1.0, 0.75, 0.6, 0.5, 0.4, 0.25, 0.1)
LEARNED_OF_THREE = {"noise_scale": (1, 2, 3, 3, 3, 3, 3), "spurious_scale": (1, 1, 1, 1, 1, 3, 3)}
SPURIOUS = {"samples": 400, "views": 1, "patches": 3, "spurious_magnitude": 3.0}
NOISE_OF_TESTS = 0.02  # of 2,000 fresh samples a view


def lies_within(value: float, rows: list[Any], column: str) -> bool:
    """Return whether a value is one that a seed may have."""
    values = [row[column] for row in rows]
    return min(values) - NOISE_OF_TESTS <= value <= max(values) + NOISE_OF_TESTS


@pytest.mark.parametrize("exponent", TRANSITION)
def test_rare_views_are_learned_above_the_boundary_and_not_below_it(exponent: int) -> None:
    way = "steps" if exponent == 1 else "closed_form"
    means = []
    for sigma, other in zip(SIGMAS, TRANSITION[exponent], strict=False):
        last = ends(sigma, range(10), exponent=exponent, flat_phase=way)
        ratio = last[0]["importance_ratio"]
        assert ratio == pytest.approx(10 / sigma**exponent)
        assert mean(last, "train_acc") >= 0.99
        assert lies_within(other, last, "test_acc_rare_mean")
        means.append(mean(last, "test_acc_rare_mean"))
        assert means[-1] > 0.95 if ratio >= 4 or exponent == 1 else True
        assert means[-1] < 0.65 if ratio <= 0.15 and exponent >= 3 else True
    assert all(later <= earlier + 0.05 for earlier, later in itertools.pairwise(means))


@pytest.mark.parametrize("arm", AUGMENTATION)
def test_augmentation_moves_the_boundary(arm: str) -> None:
    ratio, common, rare = AUGMENTATION[arm]
    last = ends(4.0, range(10), augmentation=arm)
    assert last[0]["importance_ratio"] == pytest.approx(ratio)
    assert all(lies_within(value, last, "test_acc_common") for value in common)
    assert all(lies_within(value, last, "test_acc_rare_mean") for value in rare)
    if arm == "none":
        assert mean(last, "test_acc_rare_mean") < 0.65
    if arm == "views_fresh_noise":
        assert mean(last, "test_acc_rare_mean") > 0.95
    if arm == "views_shared_noise":  # equal views over shared noise cost the common view what it had
        assert mean(last, "test_acc_common") < 0.93


@pytest.mark.parametrize(("scaled", "sure"), [("noise_scale", 0.5), ("spurious_scale", 0.25)])
def test_pretraining_that_shrinks_noise_or_spurious_features_forces_the_true_one(scaled: str, sure: float) -> None:
    learned = []
    for scale, of_three in zip(SCALES, LEARNED_OF_THREE[scaled], strict=True):
        last = ends(4.0, range(20), **SPURIOUS, **{scaled: scale})
        assert all(row["majority_acc"] == 1 for row in last)
        learned.append(sum(row["minority_acc"] > 0.5 for row in last))
        assert fisher_exact([[of_three, 3 - of_three], [learned[-1], 20 - learned[-1]]]).pvalue > 0.05
        assert learned[-1] == 20 if scale <= sure else True
    assert learned[0] <= 0.6 * 20
    assert learned == sorted(learned)
