"""What only reads asks for no right to write, and leaves nothing behind."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest

from analysis.store.errors import StoreUnwritable
from analysis.store.local_disk import LocalDisk
from analysis.store.results import Results
from raysweep.k_phase_diagram import STUDY
from raysweep.service.commands import results_command
from raysweep.service.commands.study_command import main
from tests.studies import run_serially, smallest_sweep

WRITING = ("create", "replace", "delete", "probe", "clean")


@pytest.fixture
def sealed(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Return what takes the right to write away from every store of this process, root's too."""

    def seal() -> None:
        def refused(self: LocalDisk, *_: object) -> None:
            raise StoreUnwritable(f"no permission in {self.root}")

        for name in WRITING:
            monkeypatch.setattr(LocalDisk, name, refused)

    return seal


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a store with the trials of the smallest space, all of them still in packs."""
    run_serially(STUDY, tmp_path / "results", smallest_sweep(STUDY))
    return tmp_path / "results"


def test_a_store_that_is_read_only_is_planned_drawn_and_looked_into(
    root: Path, sealed: Callable[[], None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sealed()
    space = ["space=smoke", "executor=serial", f"results={root}"]
    assert main(STUDY, [*space, "--dry-run", "seed=range(9)"]) == 0
    assert "27 trials, 6 finished, 21 to run" in capsys.readouterr().out
    assert main(STUDY, [*space, f"figure={tmp_path / 'f.png'}"]) == 0
    assert f"figure: {tmp_path / 'f.png'}" in capsys.readouterr().out
    trial = next(iter(Results(root).outcomes(STUDY.name)))
    query = "select count(*) from k_phase_diagram.trials"
    for command in (["ls"], ["query", query], ["show", trial], ["check"]):
        assert results_command.main(["--results", str(root), *command]) == 0
    assert main(STUDY, [*space, "seed=7"]) == 2
    assert "error: no permission in" in capsys.readouterr().err


def test_a_plan_makes_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(STUDY, ["--dry-run"]) == 0
    assert main(STUDY, ["--dry-run", "space=search", "results=a/b/c", "figure=d/e.png"]) == 0
    assert results_command.main(["--results", "nowhere", "ls"]) == 0
    assert not list(tmp_path.iterdir())


def test_a_knob_that_is_younger_than_the_store_is_read_at_its_default(
    root: Path, sealed: Callable[[], None], capsys: pytest.CaptureFixture[str]
) -> None:
    """Its declaration cannot be written, and is not needed to draw what is there."""
    for declaration in (root / STUDY.name / "schemas").iterdir():
        older = declaration.read_text().replace('"name": "damping"', '"name": "withdrawn"')
        assert older != declaration.read_text()
        declaration.write_text(older)
    sealed()
    assert main(STUDY, ["space=smoke", "executor=serial", f"results={root}", "figures=main"]) == 0
    trials = Results(root, expected=STUDY.schema).trials(STUDY.name)
    assert set(trials["damping"]) == {0.0}
    assert "damping" not in Results(root).trials(STUDY.name)


def test_a_plan_is_refused_where_a_column_has_changed_its_type(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, *others = STUDY.schema.measurements
    (declaration,) = (root / STUDY.name / "schemas").iterdir()
    changed = dataclasses.replace(STUDY.schema, measurements=(dataclasses.replace(first, type=str), *others))
    declaration.write_text(changed.to_json())
    assert main(STUDY, ["--dry-run", "space=smoke", f"results={root}"]) == 2
    assert f"column {first.name} is stored as str at revision" in capsys.readouterr().err
