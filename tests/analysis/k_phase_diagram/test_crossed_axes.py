"""Figures of the K study for axes that cross: plain training at every damping, K and damping as one axis."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from analysis.k_phase_diagram.collapse import SUM, TIME, cells_of, collapse, shares
from analysis.k_phase_diagram.crossed_axes import at_every_damping, crossings
from analysis.k_phase_diagram.intervals import INTERVAL
from tests.analysis.training_frames import Measure, trained

RATE = 0.1
DAMPINGS = (0.0, 0.5, 2.0)


def total(knobs: dict[str, Any]) -> float:
    """Return what the recipe tells as `effective_damping`."""
    interval = knobs[INTERVAL]
    return 1 / (RATE * interval) + (knobs["damping"] if interval > 1 else 0.0)


def settings(**others: Any) -> list[dict[str, Any]]:
    cells = [(1, 0.0), *((interval, damping) for interval in (5, 20, 100) for damping in DAMPINGS)]
    return [
        {INTERVAL: interval, "damping": damping, "freeze_depth": 0, "seed": seed, **others}
        for interval, damping in cells
        for seed in (0, 1)
    ]


SUMMED: dict[str, Measure] = {
    "effective_damping": lambda knobs, step: total(knobs),
    "test_acc_lin": lambda knobs, step: 0.5 + 0.1 * np.log10(total(knobs)),
}
MOVED: dict[str, Measure] = {"test_acc_lin": lambda knobs, step: knobs["rows_ratio"] / knobs[INTERVAL]}


def frames(cells: list[dict[str, Any]]) -> tuple[pd.DataFrame, pd.DataFrame]:
    return at_every_damping(*trained(cells, SUMMED))


def test_plain_training_stands_at_every_damping() -> None:
    (diagram, effects) = crossings(*frames(settings()))
    cells = diagram.numbers[diagram.numbers["reading"].str.startswith("at the end")]
    assert len(cells) == 4 * len(DAMPINGS)
    assert cells.loc[cells[INTERVAL] == 1, "mean"].nunique() == 1
    assert cells["seeds"].eq(2).all()
    of_damping = effects.numbers.query("effect == 'damping' and given == 1")
    assert of_damping["mean"].tolist() == of_damping["half_width"].tolist() == [0.0] * len(of_damping)
    assert diagram.figure.axes[0].get_xticklabels()[-1].get_text() == "∞"


def test_a_pair_has_panels_by_the_other_axes() -> None:
    drawings = {each.name: each for each in crossings(*frames([*settings(), *settings(freeze_depth=1)]))}
    assert set(drawings) == {
        f"{pair}{kind}" for pair in ("k_by_damping", "k_by_freeze", "freeze_by_damping") for kind in ("", "_effects")
    }
    panels = drawings["k_by_damping"].numbers.groupby("freeze_depth").size()
    assert panels.nunique() == 1
    assert list(panels.index) == [0, 1]


def test_all_samples_distinct_stand_in_every_arm() -> None:
    cells = [{"rows_ratio": 1.0, "rows_augmentation": "copies"}] + [
        {"rows_ratio": 0.1, "rows_augmentation": arm} for arm in ("copies", "fixed_aug")
    ]
    rows = [{INTERVAL: k, "seed": seed, **cell} for k in (1, 10, 100) for seed in (0, 1) for cell in cells]
    diagram, _ = crossings(*trained(rows, MOVED))
    assert diagram.numbers.groupby("rows_augmentation")["rows_ratio"].unique().map(list).to_dict() == {
        "copies": [0.1, 1.0],
        "fixed_aug": [0.1, 1.0],
    }
    few = [row for row in rows if row["rows_ratio"] == 1.0 or row["rows_augmentation"] == "fixed_aug"]
    diagram, _ = crossings(*trained(few, MOVED))
    assert "rows_augmentation" not in diagram.numbers
    assert diagram.numbers.loc[diagram.numbers["reading"].str.startswith("at the end"), "seeds"].eq(2).all()


def test_a_curve_of_the_sum_explains_what_is_a_function_of_it() -> None:
    drawing = collapse(*frames(settings()))
    assert drawing is not None
    of_sum = drawing.numbers[drawing.numbers["coordinate"] == SUM]
    explained = of_sum[of_sum["reading"].str.startswith("at the end")].iloc[0]
    assert explained["by_curve"] == pytest.approx(1)
    assert max(explained["by_k"], explained["by_damping"]) < 0.95


def test_the_cells_of_the_sum_are_one_for_plain_training_and_tell_the_time_covered() -> None:
    ends = pd.DataFrame(
        {
            INTERVAL: [1, 1, 10, 10],
            "damping": [0.0, 1.0, 0.0, 1.0],
            "effective_damping": [10.0, 10.0, 1.0, 2.0],
            "learning_rate": RATE,
            "step": 200,
            "acc": [0.9, 0.9, 0.8, 0.7],
        }
    )
    cells = cells_of(ends, "acc").set_index([INTERVAL, "damping"])
    assert cells["mean"].to_dict() == {(1, 0.0): 0.9, (10, 0.0): 0.8, (10, 1.0): 0.7}
    # Of 200 steps of 0.1, all of gradient flow without damping; a half where damping is as large as 1/(rate × K).
    assert cells[TIME].to_dict() == pytest.approx({(1, 0.0): 20.0, (10, 0.0): 20.0, (10, 1.0): 10.0})


def test_means_of_k_alone_explain_what_is_a_function_of_k() -> None:
    cells = pd.DataFrame({INTERVAL: [1, 1, 9, 9], "damping": [0, 1, 0, 1], "mean": [0.5, 0.5, 0.9, 0.9]})
    told = shares(cells.assign(**{SUM: [1.0, 3.0, 2.0, 4.0]}), SUM)
    assert told["by_k"] == pytest.approx(1)
    assert told["by_damping"] == pytest.approx(0)
    assert told["by_curve"] == pytest.approx(1), "four cells lie on a cubic"
