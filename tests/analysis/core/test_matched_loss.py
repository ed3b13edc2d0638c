"""Matched loss: exact where the truth is a straight line in the logarithm of the loss."""

import numpy as np
import pandas as pd
import pytest

from analysis.core.matched_loss import at_matched_loss, loss_levels
from tests.analysis.training_frames import trained


def rows(losses: list[float], accuracies: list[float] | None = None) -> pd.DataFrame:
    steps = 10 * np.arange(len(losses))
    return pd.DataFrame(
        {
            "trial_id": "a",
            "step": steps,
            "loss": losses,
            "acc": np.zeros(len(losses)) if accuracies is None else accuracies,
        }
    )


def test_interpolation_is_linear_in_the_logarithm_of_the_loss() -> None:
    found = at_matched_loss(rows([1.0, 0.01], [0.0, 1.0]), [0.1], "loss", ["acc"])
    assert found["acc"].tolist() == pytest.approx([0.5])
    assert found["step"].tolist() == pytest.approx([5.0])


def test_a_row_at_the_level_is_returned_as_it_is() -> None:
    found = at_matched_loss(rows([1.0, 0.5, 0.25], [0.1, 0.2, 0.3]), [0.5, 1.0], "loss", ["acc"])
    assert dict(zip(found["level"], found["acc"], strict=True)) == pytest.approx({0.5: 0.2, 1.0: 0.1})


def test_the_first_crossing_counts_and_a_level_never_reached_has_no_row() -> None:
    found = at_matched_loss(rows([1.0, 0.1, 2.0, 0.01], [0, 1, 2, 3]), [0.1, 0.001], "loss", ["acc"])
    assert found[["level", "step", "acc"]].to_numpy().tolist() == [[0.1, 10.0, 1.0]]


def test_a_loss_of_zero_passes_every_level() -> None:
    found = at_matched_loss(rows([1.0, 0.0], [0.0, 1.0]), [0.5, 1e-4], "loss", ["acc"])
    assert found["acc"].between(0, 1).all()
    assert len(found) == 2


def test_a_table_without_crossings_has_the_types_of_one_with_some() -> None:
    some, none = (at_matched_loss(rows([2.0, 0.1]), [level], "loss", ["acc"]) for level in (1.0, 0.01))
    assert none.empty
    assert none.dtypes.drop("trial_id").equals(some.dtypes.drop("trial_id"))


def test_the_order_of_rows_does_not_matter() -> None:
    _, measured = trained([{"feature_update_interval": interval} for interval in (1, 10)])
    shuffled = measured.sample(frac=1, random_state=0)
    levels = loss_levels(measured, "train_loss_lin")
    one, other = (at_matched_loss(table, levels, "train_loss_lin", ["test_acc_lin"]) for table in (measured, shuffled))
    pd.testing.assert_frame_equal(one, other)


def test_levels_are_round_and_lie_between_the_first_and_the_least_loss() -> None:
    assert loss_levels(rows([2.3, 0.04]), "loss") == [2.0, 1.0, 0.5, 0.2, 0.1, 0.05]
    assert loss_levels(rows([0.3, 1e-9]), "loss", lowest=0.02) == [0.2, 0.1, 0.05, 0.02]
    assert loss_levels(rows([2.3, 4.0]), "loss") == []
