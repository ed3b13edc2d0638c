"""`space=FILE.yaml`, and spaces that inherit from others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from raysweep.k_phase_diagram import STUDY
from raysweep.service.commands.configuration import read_settings
from raysweep.service.commands.submission import taken_along
from raysweep.service.errors import UsageError
from trials.k_phase_diagram.knobs import KPhaseKnobs


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def knobs_of(*overrides: str) -> list[Any]:
    settings = read_settings(STUDY, overrides)
    return list(settings.planner.grid)  # type: ignore[union-attr]


def test_a_file_is_a_space_by_its_name(folder: Path) -> None:
    Path("wide [1].yaml").write_text("{steps: 50, width: 512, axes: {seed: range(2)}}", encoding="utf-8")
    assert knobs_of("space=wide [1].yaml") == [KPhaseKnobs(steps=50, width=512, seed=seed) for seed in range(2)]
    assert read_settings(STUDY, ["space=wide [1].yaml"]).space == "wide [1]"
    assert knobs_of(f"space={folder}/wide [1].yaml", "width=16")[0].width == 16


def test_it_inherits_from_the_study_s_spaces_and_from_files_beside_it(folder: Path) -> None:
    smoke = knobs_of("space=smoke")
    Path("base.yaml").write_text("defaults: [smoke, _self_]\nwidth: 8\n", encoding="utf-8")
    Path("mine.yaml").write_text("defaults: [base, _self_]\nsteps: 9\naxes: {seed: [4]}\n", encoding="utf-8")
    found = knobs_of("space=mine.yaml")
    assert {(knobs.width, knobs.steps, knobs.seed) for knobs in found} == {(8, 9, 4)}
    assert {knobs.feature_update_interval for knobs in found} == {min(k.feature_update_interval, 9) for k in smoke}


def test_what_it_inherits_may_be_taken_away(folder: Path) -> None:
    Path("mine.yaml").write_text(
        "defaults: [search, _self_]\nsearch: null\naxes: {feature_update_interval: null}\n", encoding="utf-8"
    )
    assert knobs_of("space=mine.yaml") == [KPhaseKnobs(steps=1000, seed=seed) for seed in range(2)]


def test_a_file_may_have_the_name_of_the_space_that_it_inherits_from(folder: Path) -> None:
    Path("smoke.yaml").write_text("defaults: [smoke, _self_]\nsteps: 7\n", encoding="utf-8")
    assert {knobs.steps for knobs in knobs_of("space=./smoke.yaml")} == {7}
    assert {knobs.steps for knobs in knobs_of("space=smoke")} != {7}


def test_the_last_word_on_data_is_the_file_s(folder: Path) -> None:
    Path("mine.yaml").write_text(
        "defaults: [parity, _self_, override /data: single_index]\ndata: {train_size: 77}\n", encoding="utf-8"
    )
    assert {(each.data.name, each.data.train_size) for each in knobs_of("space=mine.yaml")} == {("single_index", 77)}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("defaults: [nosuch, _self_]", "space=nosuch is unknown"),
        ("defaults: [mine, _self_]", "mine.yaml inherits from itself"),
        ("defaults: [other, _self_]", "mine.yaml inherits from itself: mine.yaml -> other.yaml -> mine.yaml"),
        ("stpes: 20", "space=mine: unknown setting 'stpes'; did you mean 'steps'"),
        ("[1, 2]", "must be a mapping"),
    ],
)
def test_what_cannot_be_read_is_refused_in_a_line(folder: Path, text: str, why: str) -> None:
    Path("mine.yaml").write_text(text, encoding="utf-8")
    Path("other.yaml").write_text("defaults: [mine, _self_]", encoding="utf-8")
    with pytest.raises(UsageError, match=why) as refused:
        knobs_of("space=mine.yaml")
    assert "\n" not in str(refused.value)


def test_one_that_is_not_there_is_named(folder: Path) -> None:
    with pytest.raises(UsageError, match=r"there/mine\.yaml cannot be read: No such file"):
        knobs_of("space=there/mine.yaml")


def test_a_job_takes_it_along_with_what_it_inherits_from(folder: Path) -> None:
    Path("spaces").mkdir()
    Path("spaces/base.yaml").write_text("defaults: [smoke, _self_]\nwidth: 8\n", encoding="utf-8")
    Path("spaces/mine.yaml").write_text("defaults: [base, _self_]\n", encoding="utf-8")
    places, there = taken_along(STUDY, ["space=spaces/mine.yaml", "seed=1"])
    assert places[-2:] == [Path("spaces/mine.yaml"), Path("spaces/base.yaml")]
    assert there == ["space=mine.yaml", "seed=1"]
