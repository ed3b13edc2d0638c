"""The best settings of a sweep: those combinations of knobs whose mean over seeds is best."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from analysis.core.panels import knob_names


def best_settings(trials: pd.DataFrame, directions: Mapping[str, str]) -> pd.DataFrame:
    """Return the setting that is best by one column; of several columns the front, which no setting surpasses in all.

    Compared are the settings with the most finished seeds: the means of the others are of survivors, for some of their
    seeds diverged, failed or are still missing. The best of many means is also the luckiest: repeat it with new seeds.

    Args:
        trials: Table of trials, the knobs between `knobs_json` and the final measurements.
        directions: Columns to go by -> `maximize` or `minimize`.

    Returns:
        One row a setting, sorted by the first column: the knobs that vary but the seed, the means under the columns'
        own names, and `seeds`.
    """
    finished = trials[trials["outcome"] == "finished"].dropna(subset=list(directions))
    varying = [name for name in knob_names(trials) if trials[name].nunique(dropna=False) > 1]
    every = [*varying, *directions, "seeds"]
    if not len(finished):
        return pd.DataFrame(columns=every)
    groups = finished.groupby(varying or (lambda row: 0), dropna=False)
    settings = groups[list(directions)].mean().assign(seeds=groups.size()).reset_index()[every]
    settings = settings[settings["seeds"] == settings["seeds"].max()]
    signs = [1 if direction == "maximize" else -1 for direction in directions.values()]
    values = settings[list(directions)].to_numpy(float) * signs
    kept = values[:, 0] == values[:, 0].max() if len(signs) == 1 else front(values)
    first, direction = next(iter(directions.items()))
    return settings[kept].sort_values(first, ascending=direction == "minimize").reset_index(drop=True)


def front(values: np.ndarray) -> np.ndarray:
    """Return which rows no other row surpasses: as good in every column, and better in one; large is good."""
    return np.array([not ((values >= row).all(1) & (values > row).any(1)).any() for row in values])
