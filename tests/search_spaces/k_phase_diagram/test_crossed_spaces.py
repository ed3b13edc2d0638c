"""The spaces in which the axes of the K study cross: what they plan, and that tiny trials of each draw its figures."""

from pathlib import Path

import pandas as pd
import pytest

from analysis.core.figures import Drawing
from analysis.core.panels import spread
from analysis.k_phase_diagram.crossed_axes import CROSSED
from analysis.store.results import Results
from raysweep.k_phase_diagram import STUDY
from raysweep.service.worker.execution import Worker
from tests.studies import sweep_of, work_at

PAIRS = {
    "k_by_damping": 129,
    "k_by_freeze": 45,
    "k_by_ratio": 105,
    "ratio_by_freeze": 36,
    "ratio_by_damping": 60,
    "freeze_by_damping": 45,
}
TINY = ("steps=12", "width=8", "batch_size=16", "data.train_size=64", "data.test_size=64", "probe_size=0", "seed=[0,1]")
THREE = 3


def drawn(space: str, root: Path, *overrides: str) -> dict[str, Drawing]:
    """Return the figures of tiny trials of a space, by name: those at three values of each axis, its ends included."""
    trials = sweep_of(STUDY, space, *TINY, "measurements_per_decade=2", *overrides)
    told = pd.DataFrame([trial.knobs.columns() for trial in trials])
    kept = pd.Series(True, index=told.index)
    for axis in CROSSED:
        kept &= told[axis].isin(spread(sorted(told[axis].unique()), THREE))
    chosen = [trial for trial, is_kept in zip(trials, kept, strict=True) if is_kept]
    assert {report.outcome for report in Worker(work_at(STUDY, root, chosen)).run_pack(chosen)} == {"finished"}
    return {drawing.name: drawing for drawing in STUDY.draw(Results(root))}


@pytest.mark.parametrize(("space", "trials"), PAIRS.items())
def test_each_pair_has_a_space_of_three_seeds(space: str, trials: int) -> None:
    planned = sweep_of(STUDY, space)
    assert len(planned) == trials
    assert {trial.knobs.columns()["seed"] for trial in planned} == {0, 1, 2}


@pytest.mark.parametrize("space", PAIRS)
def test_tiny_trials_of_each_space_draw_its_diagram_and_its_effects(space: str, tmp_path: Path) -> None:
    figures = drawn(space, tmp_path)
    crossed = {name for name in figures if "_by_" in name}
    assert crossed == {space, f"{space}_effects"}
    assert figures[space].numbers["seeds"].max() == 2
    assert "interaction" in set(figures[f"{space}_effects"].numbers["effect"])
    ends = figures[space].numbers[figures[space].numbers["reading"].str.startswith("at the end")]
    assert ends["seeds"].eq(2).all()
    assert ("collapse" in figures) == (space == "k_by_damping")


@pytest.mark.parametrize(("depths", "pairs"), [pytest.param("[0,1]", 6, marks=pytest.mark.slow), ("1", 3)])
def test_three_or_four_axes_are_swept_at_once(depths: str, pairs: int, tmp_path: Path) -> None:
    small = ["data=digits", "network=mlp", "axes.feature_update_interval=[1,inf]", "axes.damping=[0,1]"]
    figures = drawn("axes_full", tmp_path, *small, f"freeze_depth={depths}")
    assert len([name for name in figures if name.endswith("_effects")]) == pairs


def test_the_full_space_is_the_published_size() -> None:
    trials = [trial.knobs.columns() for trial in sweep_of(STUDY, "axes_full")]
    assert {knobs["network"] for knobs in trials} == {"cnn_l"}
    assert len(trials) == 3 * 2 * 2 * (1 + 4 * 3)
    assert len(sweep_of(STUDY, "axes_full", "network=resnet18")) == len(trials)
