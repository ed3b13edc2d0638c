"""The figures of the multi-view theory: lines where they belong, and nothing drawn of what is not there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from analysis.core.boundary_lines import crossings, draw_predicted_boundary, power_law
from analysis.core.figures import Drawing
from analysis.multi_view.feature_scores import rare_view_ratio, true_over_noise, true_over_spurious
from analysis.multi_view.figures import draw
from analysis.store.results import Results
from raysweep.multi_view import STUDY
from tests.studies import run_serially, smallest_sweep

KNOBS: dict[str, Any] = {
    "noise_magnitude": 2.0,
    "noise_scale": 1.0,
    "view_magnitude": 1.0,
    "samples": 200,
    "rare_share": 0.05,
    "exponent": 3,
    "spurious_magnitude": 3.0,
    "spurious_scale": 1.0,
    "minority_share": 0.05,
}


def drawn(tmp_path: Path, *overrides: str) -> dict[str, Drawing]:
    run_serially(STUDY, tmp_path, smallest_sweep(STUDY, "target_loss=0.4", *overrides))
    return {drawing.name: drawing for drawing in draw(Results(tmp_path))}


def test_a_crossing_lies_between_the_cells_around_it_in_the_logarithm() -> None:
    cells = pd.DataFrame({"x": [1.0, 10.0, 100.0], "y": 5, "mean": [1.0, 1.0, 0.5]})
    assert crossings(cells, "x", "y", 0.75)["x"].tolist() == pytest.approx([10**1.5])
    assert crossings(cells.assign(mean=[0.5, 0.5, 1.0]), "x", "y", 0.75)["x"].tolist() == pytest.approx([10**1.5])
    assert crossings(cells.assign(mean=[0.5, 1.0, 0.5]), "x", "y", 0.75)["x"].tolist() == pytest.approx([10**0.5])
    assert len(crossings(cells.assign(mean=1.0), "x", "y", 0.75)) == 0


def test_a_power_law_is_found_from_three_points() -> None:
    x = pd.Series([1.0, 2.0, 8.0])
    law = power_law(x, 3 * x**0.25)
    assert law == pytest.approx((0.25, 3.0))
    assert power_law(x[:2], x[:2]) is None


def test_scores_flip_where_the_theory_says() -> None:
    knobs = pd.DataFrame([KNOBS])
    assert rare_view_ratio(knobs).item() == pytest.approx(10 / 8)
    assert rare_view_ratio(knobs.assign(noise_magnitude=10 ** (1 / 3))).item() == pytest.approx(1)
    second = knobs.assign(samples=400, noise_magnitude=4.0)
    assert true_over_noise(second.assign(noise_scale=0.6786)).item() == pytest.approx(1, abs=1e-3)
    assert true_over_spurious(second.assign(spurious_scale=(1 / 0.9) ** (1 / 3) / 3)).item() == pytest.approx(1)


def test_the_predicted_line_is_where_the_ratio_is_one() -> None:
    axes = Figure().subplots()
    axes.set(xscale="log", yscale="log", xlim=(0.5, 8), ylim=(0.01, 0.2))
    others = {name: value for name, value in KNOBS.items() if name not in ("noise_magnitude", "rare_share")}
    draw_predicted_boundary(
        axes, lambda at: rare_view_ratio(at.assign(**others)), "noise_magnitude", "rare_share", colors="red"
    )
    (line,) = axes.collections
    vertices = np.concatenate([path.vertices for path in line.get_paths()])
    np.testing.assert_allclose(vertices[:, 1], vertices[:, 0] ** 3 / 200, rtol=0.02)


def test_a_grid_has_its_diagram_and_a_line_of_noise_has_none(tmp_path: Path) -> None:
    line = drawn(tmp_path / "line")
    assert "" not in line
    assert {"trajectories", "transition", "learning_times"} <= set(line)
    grid = drawn(tmp_path / "grid", "axes.rare_share=[0.1,0.2]")
    assert len(grid[""].numbers) == 4
    assert "augmentation" not in grid


def test_arms_and_copies_have_figures_of_their_own(tmp_path: Path) -> None:
    arms = drawn(tmp_path / "arms", "axes.augmentation=[none,views_fresh_noise]", "dimension=200")
    assert set(arms["augmentation"].numbers["line"]) == {"none", "views_fresh_noise"}
    copies = drawn(
        tmp_path / "copies", "augmentation=views_fresh_noise", "axes.augmentation_copies=[1,2]", "dimension=200"
    )
    assert sorted(copies["copies"].numbers["value"].unique()) == [1, 2]


def test_copies_drawn_at_every_step_are_lines_of_their_own(tmp_path: Path) -> None:
    arm = ["augmentation=fresh_noise", "axes.augmentation_draws=[once,every_step]", "dimension=10000000"]
    assert set(drawn(tmp_path, *arm)["augmentation"].numbers["line"]) == {"fresh_noise", "fresh_noise, online"}


def test_pretraining_has_a_figure(tmp_path: Path) -> None:
    spurious = ["views=1", "patches=3", "spurious_magnitude=3", "axes.noise_magnitude=[4]"]
    scales = ["axes.noise_scale=[0.5,1]", "axes.spurious_scale=[0.5,1]"]
    found = drawn(tmp_path, *spurious, *scales)
    assert len(found["pretraining"].numbers) == 4
    assert len(found[""].numbers) == 4
