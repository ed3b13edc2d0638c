"""A study with renamed knobs: what the command says, and what it finds in an older store."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from analysis.store import renames
from analysis.store.results import Results
from raysweep.service.commands import explanation
from raysweep.service.commands.configuration import read_settings
from raysweep.service.commands.settings import spaces
from raysweep.service.commands.study_command import main
from raysweep.service.commands.summary import reproducing
from raysweep.service.driver.plan import planned
from raysweep.service.driver.supply import AskedTrials
from raysweep.service.errors import UsageError
from raysweep.service.study import Recipe, Study
from tests.recipes import WALK
from tests.studies import run_serially
from trials.core.context import TrialContext
from trials.core.knobs import Knobs, TrialKnobs, knob
from trials.core.rows import Row


@dataclass(frozen=True, kw_only=True)
class RowsBefore(Knobs):
    aug_arm: str = knob("what fills the rows", "copies")


@dataclass(frozen=True, kw_only=True)
class Before(TrialKnobs):
    rise: float = knob("rise of a step", 1.0, unit="m")
    interval: int = knob("steps between rows", 1, at_least=1)
    rows: RowsBefore = RowsBefore()


@dataclass(frozen=True, kw_only=True)
class Rows(Knobs):
    augmentation: str = knob("what fills the rows", "copies", was="aug_arm")


@dataclass(frozen=True, kw_only=True)
class After(TrialKnobs):
    slope: float = knob("rise of a step", 1.0, unit="m", was="rise")
    per_step: float = knob("rows a step", 1.0, above=0, at_most=1, was="interval", reciprocal=True)
    rows: Rows = Rows()


def walk_before(knobs: Before, context: TrialContext) -> Iterator[Row]:
    yield from ({"step": step, "height": step * knobs.rise} for step in range(2))


def walk_after(knobs: After, context: TrialContext) -> Iterator[Row]:
    yield from ({"step": step, "height": step * knobs.slope} for step in range(2))


FIRST = replace(WALK, knobs=Before, recipe=Recipe(run=walk_before), across="rise")
LATER = replace(WALK, knobs=After, recipe=Recipe(run=walk_after), across="slope")
NAMES = {"rise": "slope", "interval": "per_step", "rows_aug_arm": "rows_augmentation"}


SPACES = {
    "smoke": "axes: {slope: [1, 2]}",
    "old_axis": "axes: {rise: [1, 2]}",
    "old_value": "rise: 2",
    "old_nested": "rows: {aug_arm: fixed}",
    "old_linked": "linked: [{rise: [1, 2], seed: [0, 1]}]",
    "old_formula": "axes: {seed: [1, 2]}\ncomputed: {slope: rise + seed}",
    "old_search": "search: {trials: 2, objective: {final_height: maximize}, over: {rise: {low: 1, high: 2}}}",
    "old_boundary": "boundary: {response: final_height, level: 1, over: {rise: [1, 2], seed: [0, 1]}}",
}


@pytest.fixture
def later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Study:
    """Return the study after the renaming, and let it have `SPACES`."""
    folder = tmp_path / "spaces"
    folder.mkdir()
    for name, text in SPACES.items():
        (folder / f"{name}.yaml").write_text(f"# a space\n{text}\n", encoding="utf-8")
    for module in (spaces, explanation):
        monkeypatch.setattr(module, "spaces", lambda study: {name: folder / f"{name}.yaml" for name in SPACES})
    monkeypatch.setattr(renames, "FORMER", {WALK.name: NAMES})
    monkeypatch.setattr(renames, "RECIPROCAL", {WALK.name: frozenset({"interval"})})
    return LATER


def test_help_and_the_command_that_repeats_a_trial_have_the_new_name(later: Study) -> None:
    told = explanation.of(later)
    assert "slope  " in told and "rows.augmentation" in told
    assert "rise  " not in told and "aug_arm" not in told
    again = reproducing(
        later, read_settings(later, ["space=smoke"]), After.from_columns({"slope": 2.0, "rows_augmentation": "fixed"})
    )
    assert "slope=2.0 rows.augmentation=fixed" in again


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("rise=2", "rise is now called slope"),
        ("rise=1,2", "rise is now called slope"),
        ("+rise=2", "rise is now called slope"),
        ("axes.rise=[1,2]", "axes.rise is now called axes.slope"),
        ("rows.aug_arm=fixed", "rows.aug_arm is now called rows.augmentation"),
        ("axes.rows_aug_arm=[fixed]", "axes.rows_aug_arm is now called axes.rows_augmentation"),
        ("search.over.rise.low=1", "search.over.rise.low is now called search.over.slope.low"),
        ("search.over.rise={low: 1}", "search.over.rise is now called search.over.slope"),
        ("boundary.over.rise=[1]", "boundary.over.rise is now called boundary.over.slope"),
        ("linked=[{rise: [1, 2]}]", "rise is now called slope"),
        ("computed={slope: rise * 2}", "rise is now called slope"),
        ("union=[{axes: {rise: [1]}}]", "rise is now called slope"),
        ("interval=4", "interval is now called per_step, with 1/n for what was n: 0.25"),
        ("interval=3", "interval is now called per_step, with 1/n for what was n: 0.333333"),
        ("interval=1,2", "interval is now called per_step, with 1/n for what was n"),
        ("axes.interval=[1,2]", "axes.interval is now called axes.per_step, with 1/n for what was n"),
        ("linked=[{interval: [1, 2]}]", "interval is now called per_step, with 1/n for what was n"),
        ("space=old_axis", "rise is now called slope"),
        ("space=old_value", "space=old_value: rise is now called slope"),
        ("space=old_nested", "space=old_nested: rows_aug_arm is now called rows_augmentation"),
        ("space=old_linked", "rise is now called slope"),
        ("space=old_formula", "rise is now called slope"),
        ("space=old_search", "search.over.rise is now called slope"),
        ("space=old_boundary", "boundary.over.rise is now called slope"),
    ],
)
def test_the_former_name_is_refused_with_the_new_one(later: Study, override: str, said: str) -> None:
    settings = [override] if override.startswith("space=") else ["space=smoke", override]
    with pytest.raises(UsageError) as refused:
        read_settings(later, settings)
    assert str(refused.value) == said


def test_a_sweep_finds_the_trials_of_an_older_store(
    later: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    store = tmp_path / "store"
    with monkeypatch.context() as before:
        before.setattr(renames, "FORMER", {})
        before.setattr(renames, "RECIPROCAL", {})
        columns = {"rows_aug_arm": "fixed", "interval": 3}
        older = [Before.from_columns({"rise": rise, **columns}) for rise in (1.0, 2.0)]
        outcomes = run_serially(FIRST, store, list(planned(FIRST, older, {}).trials))
    told = ["executor=serial", f"results={store}", "space=smoke", "rows.augmentation=fixed", "per_step=0.33"]
    assert main(later, [*told, "plan=true"]) == 0
    assert "2 trials, 2 finished, 0 to run" in " ".join(capsys.readouterr().out.split())
    assert main(later, [*told, "axes.slope=[1,2,3]"]) == 0
    results = Results(store)
    table = results.trials(WALK.name).sort_values("slope")
    assert table["slope"].tolist() == [1.0, 2.0, 3.0]
    assert set(table["rows_augmentation"]) == {"fixed"} and set(table["per_step"]) == {1 / 3}
    assert set(outcomes) < set(table["trial_id"])
    assert results.check(WALK.name) == []
    again = AskedTrials(later, _Told(), table.to_dict("records"))
    assert [trial.trial_id for trial in again.known] == table["trial_id"].tolist(), "a search knows older trials"


class _Told:
    """A planner to which every trial belongs."""

    finished = True

    def tell(self, knobs: TrialKnobs, row: object) -> bool:
        return isinstance(knobs, After)

    def ask(self, count: int) -> list[TrialKnobs]:
        return []

    def __len__(self) -> int:
        return 0
