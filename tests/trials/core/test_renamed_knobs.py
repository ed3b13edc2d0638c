"""A renamed knob: the same identity, another word."""

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
    rows: RowsBefore = RowsBefore()


@dataclass(frozen=True, kw_only=True)
class Rows(Knobs):
    augmentation: str = knob("what fills the rows", "copies", was="aug_arm")
    ratio: float = knob("share of distinct rows", 1.0)


@dataclass(frozen=True, kw_only=True)
class After(TrialKnobs):
    optimizer: str = knob("rule of a step", "sgd", choices=("sgd", "adam"), was="inner_optimizer")
    width: int = knob("units", 8)
    rows: Rows = Rows()


BEFORE = (
    {},
    {"inner_optimizer": "adam"},
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
    assert list(knobs.columns()) == ["seed", "optimizer", "width", "rows_augmentation", "rows_ratio"]
    assert After.renamed() == {"inner_optimizer": "optimizer", "rows_aug_arm": "rows_augmentation"}
    assert Before.renamed() == {}
    with pytest.raises(ValueError, match=r"^optimizer='sdg' is not one of sgd, adam$"):
        After(optimizer="sdg")


def test_the_former_name_is_refused_with_the_new_one():
    for former, now in After.renamed().items():
        with pytest.raises(ValueError, match=f"^{former} is now called {now}$"):
            After.from_columns({former: "adam"})
    with pytest.raises(ValueError, match=r"^unknown knobs \['speed'\]; After has seed, optimizer, width"):
        After.from_columns({"speed": 1})


def test_no_study_has_a_knob_by_the_former_name_of_another():
    for study in every_study():
        names = {declared.name for declared in study.knobs.declared()} | set(study.measurements)
        assert names.isdisjoint(study.knobs.renamed()), study.name
        assert len({declared.identity for declared in study.knobs.declared()}) == len(study.knobs.declared())
