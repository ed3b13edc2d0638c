"""Means over seeds with intervals that a few seeds allow."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

COVERAGE = 0.95


def seed_means(rows: pd.DataFrame, by: Sequence[str], response: str) -> pd.DataFrame:
    """Return columns `by`, `mean`, `half_width`, `deviation`, `smallest`, `largest` and `seeds`, a row each group.

    The interval is mean +- half_width: Student's, of 95 %; it has no width where there is one seed.

    Args:
        rows: One row a trial; those without a response count as no seed.
        by: Columns that make the groups.
        response: Column to average.
    """
    from scipy.stats import t as student

    groups = rows.dropna(subset=[response]).groupby(list(by))[response]
    table = groups.agg(["mean", "std", "min", "max", "count"])
    table.columns = pd.Index(["mean", "deviation", "smallest", "largest", "seeds"])
    seeds = table["seeds"].to_numpy()
    factor = student.ppf((1 + COVERAGE) / 2, np.maximum(seeds - 1, 1)) / np.sqrt(seeds)
    return table.assign(half_width=(table["deviation"] * factor).fillna(0.0)).reset_index()


def of_seeds(trials: pd.DataFrame) -> str:
    """Return in words of how many seeds a figure tells."""
    count = trials["seed"].nunique()
    return "of one seed" if count == 1 else f"of {count} seeds"
