"""Rows stay what they are where no knob asks for more: each study's space `smoke`, its variants, and groups.

They hold through every change of code that does not change the science: to the last bit where the arithmetic is that
of the recording, elsewhere within tolerances that were found with other instructions of the same processor.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from tests.studies import every_study
from tests.trials.rows.recorded import Rows, arithmetic, context, differences, kept, knobs_of, told_alone, told_together
from tests.trials.rows.small import SMALL

ANY = math.inf
_OF_FEW_IMAGES = (
    "test_worst_group_acc",
    "test_adjusted_avg",
    *(f"test_group_acc_{group}" for group in ("01", "10", "11")),
)
# Of a column's largest value in a trial. An accuracy on few images, what conjugate gradients leave over and differences
# of nearly equal numbers hang on rounding.
LOOSE: Mapping[str, Mapping[str, float]] = {
    "augmentation_ratio": {"": 5e-3},
    "freeze_depth": {
        "": 0.2,  # bfloat16
        **dict.fromkeys(_OF_FEW_IMAGES, ANY),
        **{f"{chosen}_{name}": ANY for chosen in ("selected", "leaked") for name in _OF_FEW_IMAGES},
        "leaked_score": ANY,
    },
    "gauss_newton_damping": {"": 3e-3, **dict.fromkeys(("cg_iters", "cg_rel_residual", "inner_rel_residual"), ANY)},
    "k_phase_diagram": {"": 1e-3, "lin_gap": 0.3},
    "multi_view": {"": 1e-6},
    "one_big_step": {"": 1e-6},
    "spurious_cat_dog": {"": 1e-3},
    "useful_sam": {"": 1e-6},
}
RECORDED = [study for study in every_study() if study.name in SMALL]
studies = pytest.mark.parametrize("study", RECORDED, ids=lambda study: study.name)


@studies
def test_rows_of_trials_alone_are_those_recorded(study: Any) -> None:
    then, surroundings = kept(study.name), context()
    assert len({each["id"] for each in then["alone"]}) > 10
    changed = []
    for before in then["alone"]:
        knobs = knobs_of(study, before["knobs"])
        assert study.trial_id(knobs) == before["id"]
        changed += _changes(then, before, *told_alone(study, knobs, surroundings))
    assert not changed, "\n".join(changed)


@pytest.mark.parametrize("study", [study for study in RECORDED if study.together], ids=lambda study: study.name)
def test_rows_of_trials_together_are_those_recorded(study: Any) -> None:
    then, surroundings = kept(study.name), context()
    assert then["together"]
    changed = []
    for group in then["together"]:
        knobs = [knobs_of(study, before["knobs"]) for before in group]
        assert len({study.together.key(each) for each in knobs}) == 1
        for before, (rows, end) in zip(group, told_together(study, knobs, surroundings), strict=True):
            changed += _changes(then, before, rows, end)
    assert not changed, "\n".join(changed)


def test_a_change_in_the_last_bit_is_seen() -> None:
    (study,) = [each for each in RECORDED if each.name == "one_big_step"]
    then = kept(study.name)
    before = then["alone"][0]
    rows, end = told_alone(study, knobs_of(study, before["knobs"]), context())
    nudged = [*rows[:-1], {**rows[-1], "train_mse": math.nextafter(rows[-1]["train_mse"], ANY)}]
    exact, near = (list(_changes(then, before, nudged, end, exact=exact)) for exact in (True, False))
    assert not near
    assert "train_mse" in "\n".join(exact) or arithmetic() != then["arithmetic"]
    raised = [*rows[:-1], {**rows[-1], "train_mse": rows[-1]["train_mse"] + 1e-3}]
    assert "train_mse" in "\n".join(_changes(then, before, raised, end, exact=False))


def test_every_recorded_study_is_still_there() -> None:
    assert {study.name for study in RECORDED} == set(SMALL)


def _changes(
    then: Mapping[str, Any], before: Mapping[str, Any], rows: Rows, end: str, exact: bool | None = None
) -> Sequence[str]:
    bits = arithmetic() == then["arithmetic"] if exact is None else exact
    found = differences(before, rows, end, then["columns"], LOOSE[then["study"]], exact=bits)
    return [f"{before['knobs']}: {line}" for line in found]
