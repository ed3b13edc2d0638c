"""The figures of SAM on two features: where trials are compared, and whom each is compared with."""

import itertools
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.useful_sam import INTERVAL, RHO, alignments, draw, matched, over_intervals

RHOS, INTERVALS, SEEDS, STEPS = (0.0, 0.1), (1, 10), (0, 1), (0, 10, 20, 30)


def rows() -> pd.DataFrame:
    """Return trials whose easy alignment grows by 0.1 a step, and the difficult one by a share of that."""
    return pd.DataFrame(
        {
            "trial_id": f"{rho}/{interval}/{seed}",
            "seed": seed,
            RHO: rho,
            INTERVAL: interval,
            "step": step,
            "align_easy": 0.1 * step - 0.5 * seed,
            "align_hard": (0.2 + rho * (interval == 1)) * (0.1 * step - 0.5 * seed),
        }
        for rho, interval, seed, step in itertools.product(RHOS, INTERVALS, SEEDS, STEPS)
    )


def test_trials_are_compared_where_their_easy_alignment_is_the_same() -> None:
    found = matched(rows()).set_index([RHO, INTERVAL, "seed"])
    assert found.loc[(0.0, 1, 0), "reached"] == pytest.approx(10)
    assert found.loc[(0.0, 1, 1), "reached"] == pytest.approx(15)  # halfway between two rows
    np.testing.assert_allclose(found["ratio"], [0.2, 0.2, 0.2, 0.2, 0.3, 0.3, 0.2, 0.2])


def test_trials_that_never_reach_it_or_begin_beyond_it_are_left_out() -> None:
    short = rows()[lambda table: table["step"] < 10]
    assert matched(short).empty
    assert matched(rows().assign(align_easy=2.0)).empty


@pytest.mark.parametrize("learned", [rows()[RHO] < 0, rows()[RHO] > 0, (rows()[RHO] == 0) | (rows()[INTERVAL] == 10)])
def test_what_few_or_none_have_learned_is_drawn_as_far_as_it_goes(learned: pd.Series, tmp_path: Path) -> None:
    """None, those with SAM alone, and those with SAM at one interval alone."""
    told = rows().assign(align_easy=lambda found: found["align_easy"].where(learned, 0.0))

    class Told:
        def measurements(self, study: str, knobs: bool) -> pd.DataFrame:
            return told

    for number, drawing in enumerate(draw(Told())):
        drawing.figure.savefig(tmp_path / f"{number}.png")


def test_gains_are_over_the_trial_of_the_same_seed_and_interval() -> None:
    numbers = over_intervals(matched(rows())).numbers.set_index(["quantity", RHO, INTERVAL])["mean"]
    assert numbers["gain", 0.1, 1] == pytest.approx(1.5)
    assert numbers["gain", 0.1, 10] == pytest.approx(1.0)
    assert numbers["reached", 0.0, 1] == pytest.approx(12.5)


def test_alignments_are_drawn_at_the_smallest_interval() -> None:
    numbers = alignments(rows()).numbers.set_index(["feature", RHO, "step"])["mean"]
    assert numbers["easy", 0.1, 30] == pytest.approx(2.75)
    assert numbers["hard", 0.1, 30] == pytest.approx(0.3 * 2.75)
