"""What augmentation is worth: the accuracy that it adds to copies of few images, in units of new images.

Definitions of this project: the efficiency is the share of the benefit of new images in place of copies, the equivalent
ratio that share of distinct images at which copies alone are as good.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from analysis.core.bootstrap import interval_ends, resampled_means
from analysis.core.panels import knob_names

RATIO, ARM, TRANSFORM, COPIES = "ratio", "augmentation", "transform", "copies"
ACCURACY = "final_test_acc"
INVARIANCES = tuple(f"final_invariance_rate_{part}" for part in ("train", "train_untransformed", "test"))
# Knobs on which the rows of these arms do not depend.
_UNTRANSFORMED, _OF_TRANSFORMS = (COPIES, "subset"), (TRANSFORM, "exclude_identity")
_SAME_WITH_ALL_IMAGES = ("fixed_aug", "subset")
# What tells the repetitions of a setting apart: a space may draw other images with each seed.
DRAWN = ("seed", "data_train_offset", "data_test_offset")
_LEAST_ERRORS = 3


def lent(trials: pd.DataFrame) -> pd.DataFrame:
    """Return trials with those added that are the same training under other knobs.

    Copies are trained alike whatever the transform; with all images, one fixed transform of the others is of none. What
    was measured by a transform is missing where another one is meant.
    """
    knobs = ["seed", *knob_names(trials)]
    setting = [name for name in knobs if name not in (RATIO, ARM, "seed")]
    shared = [name for name in setting if name not in _OF_TRANSFORMS]
    others = trials[setting].drop_duplicates()
    plain = trials[trials[ARM].isin(_UNTRANSFORMED)]
    blank = plain.drop(columns=list(_OF_TRANSFORMS)).assign(**dict.fromkeys(INVARIANCES, np.nan))
    whole = pd.concat([trials, blank.merge(others, on=shared)[trials.columns]], ignore_index=True)
    whole = whole.drop_duplicates(knobs)
    arms = trials.loc[trials[ARM].isin(_SAME_WITH_ALL_IMAGES), [*setting, ARM]].drop_duplicates()
    ends = whole[(whole[ARM] == COPIES) & (whole[RATIO] == 1)].drop(columns=ARM)
    return pd.concat([whole, ends.merge(arms, on=setting)[trials.columns]], ignore_index=True).drop_duplicates(knobs)


def worth(trials: pd.DataFrame, arm: str) -> pd.DataFrame:
    """Return one row for each ratio below 1 with the means over seeds, and what an arm is worth there.

    Columns `aug_efficiency`, `equivalent_ratio` and `data_multiplier` (equivalent ratio over ratio), each with the
    `_low` and `_high` end of its 95 % bootstrap interval over seeds, which are drawn together for all arms and ratios.
    Where images are drawn anew with each seed, both count as one.
    The efficiency is null where what new images add is below three standard errors, the equivalent ratio where copies
    reach the accuracy at none of the ratios; intervals end at the ratios that there are.

    Args:
        trials: Trials of one setting, as `lent` returns them.
        arm: The arm to compare with copies.
    """
    drawn = [name for name in DRAWN if name in trials]
    table = trials[trials[ARM].isin([COPIES, arm])].pivot_table(index=drawn, columns=[ARM, RATIO], values=ACCURACY)
    if not {COPIES, arm} <= set(table.columns.get_level_values(ARM)) or 1.0 not in table[COPIES]:
        return pd.DataFrame()
    table = table.dropna()
    ratios = table[COPIES].columns.to_numpy(float)
    compared = [ratio for ratio in table[arm].columns if ratio < 1 and ratio in table[COPIES]]
    if not compared or not len(table):
        return pd.DataFrame()
    places = np.searchsorted(ratios, compared)
    copies, others = table[COPIES].to_numpy(float), table[arm][compared].to_numpy(float)
    resampled = resampled_means(copies, others)

    def efficiency(plain: np.ndarray, augmented: np.ndarray) -> np.ndarray:
        return (augmented - plain[..., places]) / (plain[..., -1:] - plain[..., places])

    def equivalent(plain: np.ndarray, augmented: np.ndarray) -> np.ndarray:
        return np.array([equivalent_ratios(ratios, *pair) for pair in zip(plain, augmented, strict=True)])

    known = np.array([_told_apart(copies[:, -1] - copies[:, place]) for place in places])
    means = copies.mean(0), others.mean(0)
    reached = (means[1] >= np.maximum.accumulate(means[0])[0]) & (means[1] <= means[0].max())
    result = pd.DataFrame({RATIO: compared, "seeds": len(table), "acc_copies": means[0][places], "acc_arm": means[1]})
    result = _with_interval(result, "aug_efficiency", efficiency, means, resampled, known)
    result = _with_interval(result, "equivalent_ratio", equivalent, means, resampled, reached)
    for end in ("", "_low", "_high"):
        result[f"data_multiplier{end}"] = result[f"equivalent_ratio{end}"] / result[RATIO]
    return result


def equivalent_ratios(ratios: np.ndarray, copies: np.ndarray, accuracies: np.ndarray) -> np.ndarray:
    """Return the ratios at which copies reach accuracies, at most the largest and at least the smallest there is.

    The accuracy of copies is linear in the logarithm of the ratio between those measured, and never falls.
    """
    return np.exp(np.interp(accuracies, np.maximum.accumulate(copies), np.log(ratios)))


def _told_apart(differences: np.ndarray) -> bool:
    """Return whether the mean over seeds is at least three standard errors above 0; one seed has none."""
    if len(differences) < 2:
        return False
    error = differences.std(ddof=1) / np.sqrt(len(differences))
    return bool(differences.mean() > 0 and differences.mean() >= _LEAST_ERRORS * error)


def _with_interval(
    result: pd.DataFrame,
    name: str,
    value: Callable[[np.ndarray, np.ndarray], np.ndarray],
    means: tuple[np.ndarray, np.ndarray],
    resampled: Sequence[np.ndarray],
    known: np.ndarray,
) -> pd.DataFrame:
    seeds = int(result["seeds"].iloc[0])
    with np.errstate(divide="ignore", invalid="ignore"):
        point = value(*(mean[None] for mean in means))[0]
        ends = interval_ends(value(*resampled), seeds)
    columns: dict[str, Any] = {name: np.where(known, point, np.nan)}
    columns |= {f"{name}_{end}": np.where(known, at, np.nan) for end, at in zip(("low", "high"), ends, strict=True)}
    return result.assign(**columns)
