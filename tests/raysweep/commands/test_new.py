"""`raysweep new`: a study that runs, draws and passes the tests of all studies at once."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from raysweep.service.commands import new_command
from raysweep.service.commands.new_command import written
from tests.studies import OWN

ROOT = Path(__file__).resolve().parents[3]
MOST_LINES = 80


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Return a copy of the repository's source, to write a study into."""
    for name in ("raysweep", "trials", "search_spaces", "analysis", "cluster", "tests"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__", "trials"))
    shutil.copytree(ROOT / "trials", tmp_path / "trials", dirs_exist_ok=True)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def run(folder: Path, source: Path, *command: str, **variables: str) -> str:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(source), str(folder))), **variables}
    done = subprocess.run([sys.executable, "-m", *command], cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def lines_of(places: list[Path]) -> int:
    return sum(len(place.read_text(encoding="utf-8").splitlines()) for place in places)


@pytest.mark.slow
def test_one_of_the_repository_passes_the_tests_of_all(checkout: Path) -> None:
    told = run(checkout, checkout, "raysweep", "new", "rate_sweep")
    places = [Path(line.removeprefix("wrote ")) for line in told.splitlines() if line.startswith("wrote ")]
    assert {place.relative_to(checkout).parts[0] for place in places} == {
        *("raysweep", "trials", "search_spaces", "analysis", "tests")
    }
    assert lines_of(places) <= MOST_LINES
    run(checkout, checkout, "ruff", "check", *map(str, places[:3]))
    run(checkout, checkout, "ruff", "format", "--check", *map(str, places[:3]))
    chosen = "rate_sweep or drawers or cores"
    passed = run(
        checkout, checkout, "pytest", "-q", "-k", chosen, "tests/test_every_study.py", "tests/test_architecture.py"
    )
    assert " passed" in passed


@pytest.mark.slow
def test_one_of_a_user_s_own_passes_them_as_well(tmp_path: Path) -> None:
    told = run(tmp_path, ROOT, "raysweep", "new", "my_package.my_study")
    places = [Path(line.removeprefix("wrote ")) for line in told.splitlines() if line.startswith("wrote ")]
    assert lines_of([place for place in places if place.parent.name != "my_package"]) <= MOST_LINES
    run(tmp_path, ROOT, "ruff", "check", "--config", str(ROOT / "pyproject.toml"), ".")
    tests = ("--rootdir", str(ROOT), "-c", str(ROOT / "pyproject.toml"), str(ROOT / "tests" / "test_every_study.py"))
    passed = run(tmp_path, ROOT, "pytest", "-q", "-k", "my_study", *tests, **{OWN: "my_package.my_study"})
    assert " passed" in passed
    told = run(tmp_path, ROOT, "my_package.my_study", "space=smoke", "executor=serial", "steps=20", "results=there")
    assert "my_study, space smoke: 4 trials, 0 finished, 4 to run" in told
    assert (tmp_path / "there" / "my_study" / "trials").is_dir()
    assert "my_study" in run(tmp_path, ROOT, "raysweep", "--results", "there", "ls")
    first = run(
        tmp_path, ROOT, "raysweep", "--results", "there", "query", "select trial_id from my_study.trials", "--csv"
    )
    shown = run(tmp_path, ROOT, "raysweep", "--results", "there", "show", first.split()[1].strip('"'))
    assert "python -m my_package.my_study space=none" in shown


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("1st", "small letters"),
        ("my-study", "small letters"),
        ("lambda", "a word of Python"),
        ("k_phase_diagram", "k_phase_diagram is taken"),
        ("my.multi_view", "multi_view is taken"),
        ("json", "json is a module of Python's own"),
        ("time", "time is a module of Python's own"),
        ("analysis", "analysis is a module of another place"),
        ("numpy.mine", "numpy is a module of another place"),
        ("there", "is there already"),
    ],
)
def test_a_name_that_no_study_can_have_is_refused_in_a_line(tmp_path: Path, name: str, why: str) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "figures.py").touch()
    with pytest.raises(ValueError, match=why) as refused:
        written(name, tmp_path)
    assert "\n" not in str(refused.value)
    assert [place.name for place in tmp_path.iterdir()] == ["there"]


def test_one_of_the_repository_has_one_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(new_command.provenance, "SOURCE_ROOT", tmp_path)
    (tmp_path / "tests" / "pinned_ids").mkdir(parents=True)
    (tmp_path / "trials" / "core").mkdir(parents=True)
    for name, why in (("my.study", "has one name"), ("core", "trials/core is there already")):
        with pytest.raises(ValueError, match=why):
            written(name, tmp_path)
