"""README keeps its word: its commands are passed through a shell and run, its Python runs on what they leave.

They run in one folder, in the order in which they stand there. Training is quick: rows of the studies' recipes are
replaced by ones that nobody trained, so trials, ids, files and tables are those of the demo, and numbers are not.
"""

from __future__ import annotations

import dataclasses
import importlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from analysis.store.results import Results
from raysweep.service.commands import results_command, study_command
from raysweep.service.commands.configuration import read_settings
from raysweep.service.study import Recipe, Study
from tests import readme
from tests.analysis.invented_results import invented
from tests.raysweep.commands import two_figures
from tests.studies import sweep_of

BUCKET = "s3://bucket/prefix"


def study_of(module: str) -> Study:
    study: Study = importlib.import_module(re.sub(r"\.(NAME|name)$", ".k_phase_diagram", module)).STUDY
    return dataclasses.replace(study, recipe=Recipe(run=invented(study)), figures=two_figures.__name__)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder in which the demo has run."""
    here, before = tmp_path_factory.mktemp("reader"), Path.cwd()
    os.chdir(here)
    try:
        demo = ["python", "-m", "raysweep.k_phase_diagram"]
        assert run(demo) == 0
        yield here
    finally:
        os.chdir(before)


def run(words: list[str]) -> int:
    """Run a command in this process; those of a cluster are read and not sent."""
    match words:
        case ["python", "-m", module, *arguments]:
            study, serial = study_of(module), [] if "--help" in arguments else ["executor=serial"]
            local = [each for each in arguments if not each.startswith(("data.path=", "resources.gpus="))]
            if "data.path=DIR" in arguments:  # there are no images: what would run is said
                return study_command.main(study, [*local, "--dry-run"])
            few = ["search.trials=2"] if "space=search" in arguments else []
            return study_command.main(study, [each.replace(BUCKET, "bucket") for each in [*local, *serial, *few]])
        case ["raysweep", "submit", "--address", address, name, *overrides]:
            assert re.fullmatch(r"http://\w+:\d+", address)
            return int(read_settings(study_of(f"raysweep.{name}"), overrides) is None)
        case ["raysweep", *arguments]:
            return results_command.main([each.replace(BUCKET, "bucket") for each in arguments])
        case ["ray", "job", "submit", "--working-dir", ".", "--", "python", "-m", module, *overrides]:
            return int(read_settings(study_of(module), overrides) is None)
        case ["make", *targets]:
            return subprocess.run(
                ["make", "-n", *targets], cwd=readme.ROOT, capture_output=True, check=False
            ).returncode
    raise AssertionError(f"README has a command that this test does not know: {words}")


@pytest.mark.parametrize("command", readme.commands())
def test_every_command_runs_as_a_shell_passes_it_on(
    command: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if command.startswith(". "):
        assert command == ". .venv/bin/activate"
        assert "VENV := .venv\n" in (readme.ROOT / "Makefile").read_text(encoding="utf-8")
        return
    told = [readme.words(shell, command, tmp_path) for shell in readme.SHELLS]
    assert told
    assert all(words == told[0] and words for words in told)
    try:
        code = run(told[0])
    except SystemExit as ended:
        code = int(ended.code or 0)
    captured = capsys.readouterr()
    assert code == 0, captured.err
    assert "rror" not in captured.err


def test_a_command_that_a_shell_would_spoil_is_found(tmp_path: Path) -> None:
    for spoilt in ("python -m x seed=range(5)", "python -m x axes.k=[1,8]", "python -m x 'seed=1"):
        with pytest.raises(subprocess.CalledProcessError):
            readme.words("bash", spoilt, tmp_path)
    assert readme.words("bash", "python -m x 'a=log(1e-3,1,7)'  # said", tmp_path) == [
        "python",
        "-m",
        "x",
        "a=log(1e-3,1,7)",
    ]


@pytest.mark.parametrize("override", readme.overrides_in_prose())
def test_every_setting_in_the_text_is_one(override: str, tmp_path: Path) -> None:
    settings = [
        each
        for each in readme.words("bash", f"python -m x {override}", tmp_path)[3:]
        if each[-1] != "=" and "=FILE" not in each
    ]
    space = ["space=search"] if settings and settings[0].startswith("search.") else []
    read_settings(study_of("raysweep.k_phase_diagram"), [*space, *settings])


def test_what_readme_says_of_the_demo_fits_its_trials(folder: Path) -> None:
    results = Results("results")
    ids = {trial.trial_id for trial in sweep_of(study_of("raysweep.k_phase_diagram"), "laptop")}
    assert ids <= set(results.outcomes("k_phase_diagram"))
    shown = [command.split()[2] for command in readme.commands() if command.startswith("raysweep show")]
    assert shown
    assert all(sum(each.startswith(start) for each in ids) == 1 for start in shown)


def test_averages_leave_out_trials_that_diverged() -> None:
    averages = re.findall(r"\"[^\"]*\bavg\([^`]*?(?=\n\)|\)\n)", readme.README)
    assert averages
    assert all("outcome = 'finished'" in query for query in averages)


def test_python_runs_on_what_the_commands_leave(folder: Path) -> None:
    code = [block for block in readme.blocks("python") if "raysweep.sweep(" not in block]
    assert code
    program = "\n".join(code)
    subprocess.run([sys.executable, "-c", program], cwd=folder, check=True, timeout=100)
