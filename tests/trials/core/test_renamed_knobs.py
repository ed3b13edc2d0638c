"""A renamed knob: the same identity, another word, and perhaps one over what it was."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from tests.studies import every_study
from trials.core.fingerprints import fingerprint
from trials.core.knobs import Knobs, TrialKnobs, knob


@dataclass(frozen=True, kw_only=True)
class RowsBefore(Knobs):
    aug_arm: str = knob("what fills the rows", "copies")
    ratio: float = knob("share of distinct rows", 1.0)


@dataclass(frozen=True, kw_only=True)
class Before(TrialKnobs):
    inner_optimizer: str = knob("rule of a step", "sgd", choices=("sgd", "adam"))
    width: int = knob("units", 8)
    interval: int = knob("epochs between rows", 1, at_least=1)
    rows: RowsBefore = RowsBefore()


@dataclass(frozen=True, kw_only=True)
class Rows(Knobs):
    augmentation: str = knob("what fills the rows", "copies", was="aug_arm")
    ratio: float = knob("share of distinct rows", 1.0)


@dataclass(frozen=True, kw_only=True)
class After(TrialKnobs):
    optimizer: str = knob("rule of a step", "sgd", choices=("sgd", "adam"), was="inner_optimizer")
    width: int = knob("units", 8)
    per_epoch: float = knob("rows an epoch", 1.0, above=0, at_most=1, was="interval", reciprocal=True)
    rows: Rows = Rows()


BEFORE = (
    {},
    {"inner_optimizer": "adam"},
    *({"interval": interval} for interval in (2, 3, 7, 49, 1000, 10**6)),
    {"inner_optimizer": "adam", "width": 9, "rows_aug_arm": "fixed", "rows_ratio": 0.5, "seed": 3},
)


@pytest.mark.parametrize("columns", BEFORE)
def test_a_renamed_knob_keeps_identities(columns):
    before, after = Before.from_columns(columns), After.from_stored(columns)
    assert after.fingerprint() == before.fingerprint() == fingerprint(columns)
    assert after.identity() == before.identity() == columns
    assert After.from_stored(after.columns()) == After.from_stored(before.columns()) == after


def test_all_but_identities_go_by_the_new_name():
    knobs = After.from_columns({"optimizer": "adam", "rows_augmentation": "fixed"})
    assert knobs.non_default() == {"optimizer": "adam", "rows_augmentation": "fixed"}
    assert list(knobs.columns()) == ["seed", "optimizer", "width", "per_epoch", "rows_augmentation", "rows_ratio"]
    names = {"inner_optimizer": "optimizer", "interval": "per_epoch", "rows_aug_arm": "rows_augmentation"}
    assert After.renamed() == names
    assert Before.renamed() == {}
    with pytest.raises(ValueError, match=r"^optimizer='sdg' is not one of sgd, adam$"):
        After(optimizer="sdg")


def test_the_former_name_is_refused_with_the_new_one():
    for former, now in After.renamed().items():
        measure = ", with 1/n for what was n" if now == "per_epoch" else ""
        with pytest.raises(ValueError, match=f"^{former} is now called {now}{measure}$"):
            After.from_columns({former: "adam"})
    with pytest.raises(ValueError, match=r"^unknown knobs \['speed'\]; After has seed, optimizer, width"):
        After.from_columns({"speed": 1})


@pytest.mark.parametrize(
    ("typed", "whole"), [(1, 1), (0.98, 1), (0.5, 2), (0.33, 3), (1 / 3, 3), (0.17, 6), (0.14, 7), (0.001, 1000)]
)
def test_what_is_one_over_a_whole_number_is_one_training_however_it_is_rounded(typed, whole):
    knobs = After(per_epoch=typed)
    assert knobs == After(per_epoch=1 / whole) == After.from_stored({"interval": whole})
    assert knobs.identity() == ({"interval": whole} if whole > 1 else {})
    assert After.from_stored(knobs.columns()) == knobs


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (0.3, r"^per_epoch must be 1/n of a whole number n \(1, 0.5, 0.33, 0.25, ...\), got 0.3$"),
        (0.7, "must be 1/n of a whole number n"),
        (0, "^per_epoch must be above 0, got 0"),
        (2, "^per_epoch must be at most 1, got 2"),
        (True, "^per_epoch must be a finite number, got True"),
    ],
)
def test_what_is_one_over_nothing_whole_is_refused(typed, said):
    with pytest.raises(ValueError, match=said):
        After(per_epoch=typed)


def test_no_study_has_a_knob_by_the_former_name_of_another():
    for study in every_study():
        names = {declared.name for declared in study.knobs.declared()} | set(study.measurements)
        assert names.isdisjoint(study.knobs.renamed()), study.name
        assert len({declared.identity for declared in study.knobs.declared()}) == len(study.knobs.declared())
