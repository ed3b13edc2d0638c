"""`data=PLACE` in every study whose trials see images or features."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import raysweep
from analysis.store.results import Results
from raysweep.augmentation_ratio import STUDY as AUGMENTATION
from raysweep.freeze_depth import STUDY as FREEZE
from raysweep.k_phase_diagram import STUDY as K
from raysweep.multi_view import STUDY as MULTI_VIEW
from raysweep.service.commands.configuration import read_settings
from raysweep.service.commands.study_command import main
from raysweep.service.errors import UsageError

PIXELS = np.random.default_rng(0).integers(0, 256, (60, 8, 8), dtype=np.uint8)
SMALL = ("space=none", "steps=3", "batch_size=8", "probe_size=4", "width=4", "depth=1", "data.train_size=0")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    np.savez(tmp_path / "mine.npz", images=PIXELS, labels=np.arange(60) % 2)
    return tmp_path


def only_trial(*overrides: str) -> str:
    (knobs,) = read_settings(K, [*SMALL, *overrides]).planner.grid
    return K.trial_id(knobs)


def test_the_id_goes_by_what_they_hold_and_not_by_where_they_lie(folder: Path) -> None:
    first = only_trial("data=mine.npz")
    (folder / "mine.npz").rename("o ther.npz")
    assert only_trial("data='o ther.npz'") == only_trial("data=own", "data.path='o ther.npz'") == first
    np.savez("mine.npz", images=255 - PIXELS, labels=np.arange(60) % 2)
    assert only_trial("data=mine.npz") != first
    assert only_trial() not in (first, only_trial("data=mine.npz"))


def test_trials_on_them_are_stored_and_drawn(folder: Path) -> None:
    assert main(K, [*SMALL, "data=mine.npz", "executor=serial", "results=there"]) == 0
    (row,) = Results("there").trials("k_phase_diagram").to_dict("records")
    assert (row["data_name"], len(row["data_content"]), row["outcome"]) == ("own", 20, "finished")
    assert list((folder / "there" / "k_phase_diagram" / "figures").glob("none-*.png"))


def test_arrays_of_a_program_are_data(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
    labels = np.arange(60) % 2
    asked = {"space": "none", "steps": 3, "batch_size": 8, "data_train_size": 0}
    pair, named, file = (
        raysweep.plan("k_phase_diagram", data=data, **asked).trials["trial_id"].tolist()
        for data in ((PIXELS, labels), {"images": PIXELS, "labels": labels}, "mine.npz")
    )
    assert pair == named == file


@pytest.mark.parametrize(
    ("study", "overrides", "why"),
    [
        (AUGMENTATION, ["data=mine.npz", "transform=flip", "batch_size=5"], "does not say may_mirror: true"),
        (FREEZE, ["data=mine.npz"], "takes no data of your own; allowed are digits, cifar10, waterbirds"),
        (MULTI_VIEW, ["data=mine.npz"], "data"),
        (K, ["data=none.npz"], "No such file"),
        (K, ["data=own"], "data of your own need a place"),
        (K, ["data=mine.npz", "data.content=0123"], "0123"),
    ],
)
def test_what_does_not_suit_is_refused_in_a_line(study: object, overrides: list[str], why: str) -> None:
    with pytest.raises((UsageError, ValueError), match=why) as refused:
        settings = read_settings(study, ["space=none", *overrides])  # type: ignore[arg-type]
        list(settings.planner.grid)
    assert "\n" not in str(refused.value)
