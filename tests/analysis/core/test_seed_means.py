"""What is said of the seeds behind a figure."""

from __future__ import annotations

import pandas as pd

from analysis.core.seed_means import of_seeds


def test_one_seed_is_told_as_one() -> None:
    assert of_seeds(pd.DataFrame({"seed": [4, 4]})) == "of one seed"
    assert of_seeds(pd.DataFrame({"seed": [0, 1, 1]})) == "of 2 seeds"
