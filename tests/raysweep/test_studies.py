"""Which studies there are, and how one is found: by its name, by what a package registers, by its module."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from analysis.store.results import Results
from raysweep.service.commands.settings.spaces import default_first, spaces
from raysweep.service.declared import own_places
from raysweep.service.errors import UsageError
from raysweep.service.studies import built_in, importable, registered, study_named

ROOT = Path(__file__).resolve().parents[2]
SINGLE = '''
from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from raysweep import Study, main
from trials.core.context import TrialContext
from trials.core.knobs import TrialKnobs, knob
from trials.core.rows import Measurement, Row


@dataclass(frozen=True, kw_only=True)
class CoinKnobs(TrialKnobs):
    """A coin."""

    weight: float = knob("what is added", 0.5)


def run(knobs: CoinKnobs, context: TrialContext) -> Iterator[Row]:
    for step in range(3):
        yield {"step": step, "side": knobs.weight + knobs.seed * step}


def draw(results):
    return []


STUDY = Study(
    name="%(name)s", question="Which side?", knobs=CoinKnobs, figures="%(module)s", across="weight",
    measurements={"side": Measurement(meaning="which side it fell on")}, headline="final_side",
)

if __name__ == "__main__":
    raise SystemExit(main(STUDY))
'''


def single_file(folder: Path, module: str, name: str = "") -> None:
    """Write a study of one file, its space beside it."""
    *packages, last = module.split(".")
    place = folder.joinpath(*packages)
    (place / "spaces" / last).mkdir(parents=True)
    (place / "spaces" / last / "coin.yaml").write_text("axes: {weight: [0.1, 0.2], seed: [1]}", encoding="utf-8")
    (place / f"{last}.py").write_text(SINGLE % {"name": name or last, "module": module}, encoding="utf-8")


def test_one_file_is_a_study_whose_workers_find_it(tmp_path: Path) -> None:
    """What `__main__` declares has that name, by which no worker could import it."""
    single_file(tmp_path, "own_package.coin")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "own_package.coin", "results=there", "executor=serial"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "coin, space coin: 2 trials" in done.stdout
    trials = Results(tmp_path / "there").trials("coin")
    assert sorted(trials["final_side"]) == pytest.approx([2.1, 2.2])
    (sweep,) = Results(tmp_path / "there").sweeps("coin")
    assert sweep.document["command"].startswith("python -m own_package.coin ")


def test_a_study_is_found_by_its_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    single_file(tmp_path, "own_folder.token")
    monkeypatch.syspath_prepend(tmp_path)
    study = study_named("own_folder.token")
    assert (study.name, study.module, study.recipe) == ("token", "own_folder.token", "own_folder.token")
    assert study.command == ("python", "-m", "own_folder.token")
    assert list(spaces(study)) == default_first(study) == ["coin"]
    assert own_places(study.module) == [tmp_path / "own_folder"]
    assert own_places("raysweep.k_phase_diagram") == own_places() == []


def test_a_package_registers_its_studies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    single_file(tmp_path, "own_installed.medal")
    facts = tmp_path / "own_installed-1.0.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: own-installed\nVersion: 1.0\n", encoding="utf-8")
    (facts / "entry_points.txt").write_text("[raysweep.studies]\nmedal = own_installed.medal:STUDY\n", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    assert registered() == {"medal": "own_installed.medal:STUDY"}
    assert study_named("medal").module == "own_installed.medal"
    with pytest.raises(UsageError, match=r"nothing_here is no study; .*; registered are medal"):
        study_named("nothing_here")


def test_those_of_the_repository_are_its_own() -> None:
    for name in built_in():
        study = study_named(name)
        assert (study.name, study.module, importable(study)) == (name, f"raysweep.{name}", study)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("no_such_study", "no_such_study is no study; there are augmentation_ratio, .*such as my_package.my_study"),
        ("json", "json declares no study; it must have one, as STUDY = Study"),
        ("own_broken.part", "own_broken.part cannot be imported: No module named 'nothing_of_that_name'"),
        ("../etc", "is no study"),
    ],
)
def test_what_is_no_study_is_refused_in_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, why: str
) -> None:
    (tmp_path / "own_broken").mkdir()
    (tmp_path / "own_broken" / "part.py").write_text("import nothing_of_that_name", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UsageError, match=why) as refused:
        study_named(name)
    assert "\n" not in str(refused.value)


def test_the_name_of_a_study_of_the_repository_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    single_file(tmp_path, "own_twin.twin", name="k_phase_diagram")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(
        UsageError, match=r"k_phase_diagram is the name of a study of raysweep; give the one of own_twin"
    ):
        importable(study_named("own_twin.twin"))
