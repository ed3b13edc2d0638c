"""Plots of a frame of one's own: what is averaged, where it stands, and what the examples say."""

from __future__ import annotations

import doctest
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars
import pytest
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure

import analysis
from analysis import boundary, curves, matched_loss, phase_diagram
from analysis.core import plots
from analysis.core.phase_diagram import phase_cells
from analysis.core.scales import scale_of

PAGE = Path(__file__).resolve().parents[3] / "docs" / "plotting.md"


def trials(**columns: Any) -> pd.DataFrame:
    """Return a trial for each seed, K and rate, its accuracy seed + 10 K + 100 rate where these are finite."""
    rows = [
        {"k": k, "rate": rate, "seed": seed, "acc": seed + 10 * min(k, 100) + 100 * rate}
        for k in (1, 10, math.inf)
        for rate in (0, 0.1, 1.0)
        for seed in (0, 2)
    ]
    return pd.DataFrame(rows).assign(**columns)


def ticks(figure: Figure, axis: str) -> list[str]:
    return [label.get_text() for label in getattr(figure.axes[0], f"{axis}axis").get_ticklabels()]


def test_the_examples_of_every_plot_say_what_happens() -> None:
    assert set(analysis.__all__) <= {*dir(analysis)}
    examples = {test.name: test for test in doctest.DocTestFinder().find(plots) if test.examples}
    assert examples.keys() == {f"analysis.core.plots.{name}" for name in analysis.__all__}
    for example in examples.values():
        assert doctest.DocTestRunner().run(example).failed == 0


def test_the_page_runs_as_it_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    program = "\n".join(re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL))
    for name in analysis.__all__:
        assert f"{name}(" in program
    exec(program, {})
    assert [path.name for path in tmp_path.iterdir()] == ["boundary.png"]


def test_a_cell_is_the_mean_of_its_rows_zero_and_infinity_included() -> None:
    drawing = phase_diagram(trials(), "k", "rate", "acc")
    table = drawing.numbers.set_index(["rate", "k"])
    assert table.loc[(0, 1), ["mean", "smallest", "largest", "seeds"]].tolist() == [11, 10, 12, 2]
    assert table.loc[(1.0, math.inf), "mean"] == 1101
    assert (ticks(drawing.figure, "x"), ticks(drawing.figure, "y")) == (["1", "10", "∞"], ["0", "0.1", "1"])
    axes = drawing.figure.axes[0]
    assert axes.get_xscale() == axes.get_yscale() == "log"
    boxes = [path.get_extents() for part in axes.collections for path in part.get_paths()]
    places = [(x, y) for x in (1, 10, 100) for y in (0.01, 0.1, 1.0)]
    assert [sum(box.contains(*place) for box in boxes) for place in places] == [1] * 9
    for other in (polars.from_pandas(trials()), polars.from_pandas(trials()).to_arrow()):
        pd.testing.assert_frame_equal(phase_diagram(other, "k", "rate", "acc").numbers, drawing.numbers)


@pytest.mark.parametrize(
    ("values", "asked", "kind", "places"),
    [
        ([0, 100, 200, 1000, 1100], None, "linear", [0, 100, 200, 1000, 1100]),
        ([1, 10, 100], None, "log", [1, 10, 100]),
        ([1, 10, 100], "linear", "linear", [1, 10, 100]),
        ([4, 1, 2], "categorical", "categorical", [2, 0, 1]),
        ([0.0, 0.01, 1.0, math.inf], None, "log", [0.0001, 0.01, 1.0, 100.0]),
        ([0, 5], "log", "log", [0.5, 5]),
        ([0], "log", "log", [0.1]),
        ([-math.inf, 0, 2, 4, math.inf], None, "linear", [-2, 0, 2, 4, 6]),
        (["sgd", "adam", "sgd"], None, "categorical", [0, 1, 0]),
        ([True, False], None, "categorical", [1, 0]),
        (pd.Categorical(["b", "a"], categories=["a", "c", "b"]), None, "categorical", [1, 0]),
    ],
)
def test_where_values_stand(values: Any, asked: Any, kind: str, places: list[float]) -> None:
    column = pd.Series(values, name="knob")
    scale = scale_of(column, asked)
    assert scale.kind == kind
    np.testing.assert_allclose(scale.at(column), places)
    assert scale.values_at(scale.at(column)).tolist() == column.tolist()
    beside = (
        [value in (0, math.inf, -math.inf) for value in column]
        if kind == "log"
        else np.isinf(pd.to_numeric(column, errors="coerce"))
    )
    assert (~scale.is_ordinary(scale.at(column))).tolist() == list(beside)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda frame: phase_diagram(frame, "width", "rate", "acc"), "no column 'width'; there are k, rate, seed, acc"),
        (lambda frame: phase_diagram(frame, "k", "rates", "acc"), "no column 'rates'; did you mean 'rate'?"),
        (lambda frame: phase_diagram(frame, "k", "k", "acc"), "a plot needs three columns"),
        (lambda frame: phase_diagram(frame.assign(acc=np.nan), "k", "rate", "acc"), "no finished row has k, rate and"),
        (lambda frame: phase_diagram(frame.assign(k=-1), "k", "rate", "acc", scales={"k": "log"}), "k has -1, and a"),
        (lambda frame: phase_diagram(frame.assign(k="a"), "k", "rate", "acc", scales={"k": "log"}), "k has names"),
        (lambda frame: phase_diagram(frame, "k", "rate", "acc", scales={"k": "logit"}), "scale 'logit' of k is"),
        (lambda frame: boundary(frame.assign(k="a"), "k", "rate", "acc", 1), "k has names; exchange x and y"),
        (lambda frame: curves(frame, "k", "acc", band="iqr"), "band='iqr' is not one of interval, range"),
        (lambda frame: curves(frame, "k", "acc", scales={"acc": "categorical"}), "its scale is linear or log"),
        (lambda frame: matched_loss(frame, "k", "acc", "loss"), "no column 'trial_id'"),
    ],
)  # fmt: skip
def test_what_cannot_be_drawn_is_said_in_a_line(call: Any, message: str) -> None:
    with pytest.raises(ValueError) as refused:
        call(trials())
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_trial_that_diverged_counts_in_its_own_cell() -> None:
    outcomes = ["diverged" if seed and k == 10 else "finished" for k, seed in trials()[["k", "seed"]].to_numpy()]
    drawing = phase_diagram(trials(outcome=outcomes), "k", "rate", "acc")
    table = drawing.numbers.set_index(["k", "rate"])
    assert table.loc[10, ["seeds", "diverged"]].to_numpy().tolist() == [[1, 1]] * 3
    assert table.loc[1, ["seeds", "diverged"]].to_numpy().tolist() == [[2, 0]] * 3
    (hatched,) = [
        part for part in drawing.figure.axes[0].collections if part.get_hatch() == "////" and part.get_paths()
    ]
    assert len(hatched.get_paths()) == 3
    failed = trials(outcome=["failed" if k == 1 else "finished" for k in trials()["k"]])
    assert set(phase_diagram(failed, "k", "rate", "acc").numbers["k"]) == {10, math.inf}
    theirs = trials().rename(columns={"acc": "outcome"})
    assert phase_diagram(theirs, "k", "rate", "outcome").numbers["seeds"].tolist() == [2] * 9, "a column of their own"


def test_so_it_does_in_a_study_s_diagram_of_two_knobs() -> None:
    runs = trials(trial_id=range(18), outcome="finished")
    runs.loc[(runs["k"] == 10) & (runs["rate"] == 1.0), ["outcome", "acc"]] = ["diverged", np.nan]
    cells = phase_cells(runs, runs, "k", "rate", "acc").set_index(["k", "rate"])
    assert cells["diverged"][cells["diverged"] > 0].to_dict() == {(10, 1.0): 2}


def measured() -> pd.DataFrame:
    """Return rows of two trials at K = 1 and two at K = 2, of which one has no rows from step 4 on: it diverged."""
    return pd.DataFrame(
        [
            {"trial_id": f"{k}-{seed}", "outcome": "diverged" if lost else "finished", "k": k, "step": step,
             "loss": 2.0 ** -(step * k), "acc": step + seed}
            for k in (1, 2) for seed in (0, 1) for lost in [k == 2 and seed == 1]
            for step in (1, 2, 4, 8) if step < 4 or not lost
        ]
    )  # fmt: skip


def test_a_line_goes_on_while_most_of_its_trials_do() -> None:
    drawing = curves(measured(), "step", "acc", "k", band="range")
    table = drawing.numbers.set_index(["k", "step"])
    assert table.loc[(1, 4), ["mean", "smallest", "largest", "seeds", "diverged"]].tolist() == [4.5, 4, 5, 2, 0]
    assert table.loc[(2, 4), ["mean", "seeds", "diverged"]].tolist() == [4, 1, 1]
    lines = [line.get_xydata().tolist() for line in drawing.figure.axes[0].lines if len(line.get_xydata())]
    assert [[1, 1.5], [2, 2.5], [4, 4.5], [8, 8.5]] in lines
    assert [[1, 1.5], [2, 2.5]] in lines
    assert [[2, 2.5]] in lines, "the cross at the end"
    legend = [text.get_text() for text in drawing.figure.legends[0].get_texts()]
    assert legend == ["1", "2", "diverged"]


def test_lines_are_broken_beside_zero_and_infinity() -> None:
    drawing = curves(trials(), "k", "acc")
    line = max(drawing.figure.axes[0].lines, key=lambda each: len(each.get_xydata()))
    assert np.isnan(line.get_ydata()).tolist() == [False, False, True, False]
    assert drawing.numbers.columns.tolist()[:2] == ["k", "mean"]
    student = curves(trials(), "k", "acc", "rate").numbers.set_index(["rate", "k"])
    assert student.loc[(0, 1), "half_width"] == pytest.approx(12.706, rel=1e-4)


def test_a_boundary_lies_where_the_mean_crosses_the_level() -> None:
    runs = pd.DataFrame({"k": [1, 100, 1, 100, 1, 100], "rate": [0, 0, 1, 1, 10, 10], "acc": [1, 0, 1, 0.5, 1, 0.9]})
    found = boundary(runs, "k", "rate", "acc", 0.75).numbers
    assert found["rate"].tolist() == [0, 1]
    np.testing.assert_allclose(found["k"], [10**0.5, 10])
    linear = boundary(runs, "k", "rate", "acc", 0.75, scales={"k": "linear"}).numbers
    np.testing.assert_allclose(linear["k"], [1 + 99 / 4, 1 + 99 / 2])
    beside_zero = pd.DataFrame({"k": [0, 1, 10], "rate": 1.0, "acc": [1, 0, 0]})
    assert not len(boundary(beside_zero, "k", "rate", "acc", 0.5, scales={"k": "log"}).numbers)


def test_at_matched_loss_every_trial_is_read_where_it_is_equally_trained() -> None:
    table = matched_loss(measured().drop(columns="outcome"), "k", "acc", "loss", levels=[2**-3, 2**-4, 2**-100])
    found = table.numbers.set_index(["k", "level"])["mean"]
    assert found[(1, 2**-4)] == pytest.approx(4.5)
    assert found[(2, 2**-4)] == pytest.approx(2.5)
    assert found[(1, 2**-3)] == pytest.approx(3.5), "in the middle between two rows"
    with pytest.raises(ValueError, match="no trial's loss falls to 1e-30"):
        matched_loss(measured(), "k", "acc", "loss", levels=[1e-30])
    renamed = measured().rename(columns={"step": "epoch"})
    assert len(matched_loss(renamed, "k", "acc", "loss", step="epoch").numbers)


def test_a_plot_goes_into_axes_of_one_s_own() -> None:
    figure = Figure()
    left, right = figure.subplots(1, 2)
    assert phase_diagram(trials(), "k", "rate", "acc", axes=left, title="left").figure is figure
    curves(trials(), "k", "acc", "rate", axes=right, labels={"k": "interval K"}, scales={"acc": "log"})
    assert (left.get_title(loc="center") or left.get_title(loc="left"), right.get_xlabel()) == ("left", "interval K")
    assert right.get_yscale() == "log"
    assert not figure.legends
    assert any(isinstance(part, PolyCollection) for part in left.collections)
