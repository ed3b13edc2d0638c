"""The figure of the one big step: errors of the best penalty, a band of seeds a quantity."""

import itertools

import pandas as pd
import pytest

from analysis.one_big_step import LENGTH, errors_and_alignments

SETTINGS, LENGTHS, SEEDS, RIDGES = ("rank_one", "quadratic"), (0.0, 1.0, 10.0), (0, 1), (1e-3, 1e-1)


def rows() -> pd.DataFrame:
    """Return trials whose error falls with the length, the larger penalty being worse by 1."""
    return pd.DataFrame(
        {
            "trial_id": f"{setting}/{length}/{seed}",
            "setting": setting,
            LENGTH: length,
            "seed": seed,
            "ridge": ridge,
            "test_mse": 1 / (1 + length) + seed + (ridge > 0.01),
            "test_mse_linear": 0.5 + (ridge < 0.01),
            "neuron_alignment": length / 10,
            "top_alignment": length / 20,
        }
        for setting, length, seed, ridge in itertools.product(SETTINGS, LENGTHS, SEEDS, RIDGES)
    )


def test_errors_are_of_the_best_penalty_and_means_over_seeds() -> None:
    drawing = errors_and_alignments(rows())
    numbers = drawing.numbers.set_index(["setting", "quantity", LENGTH])["mean"]
    assert len(numbers) == len(SETTINGS) * len(LENGTHS) * 4
    for setting, length in itertools.product(SETTINGS, LENGTHS):
        assert numbers[setting, "test_mse", length] == pytest.approx(1 / (1 + length) + 0.5)
        assert numbers[setting, "test_mse_linear", length] == pytest.approx(0.5)
        assert numbers[setting, "top_alignment", length] == pytest.approx(length / 20)
    assert len(drawing.figure.axes) == 2 * len(SETTINGS)
