"""The service's help and plans, and knobs and measurements of studies that are packages, need no torch and no Ray."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.studies import every_study, run_serially, smallest_sweep

ROOT = Path(__file__).resolve().parents[1]
COMMANDS = ROOT / "raysweep" / "service" / "commands"
PACKAGES = sorted(path.parent.name for path in (ROOT / "trials").glob("*/knobs.py") if path.parent.name != "core")


def loaded_by(code: str, *others: str) -> str:
    """Run code in a fresh process that must find none of torch, Ray, matplotlib and others among its modules."""
    unneeded = {"matplotlib", "ray", "torch", *others}
    check = f"import sys; heavy = {unneeded!r} & set(sys.modules); assert not heavy, heavy"
    done = subprocess.run([sys.executable, "-c", f"{code}\n{check}"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_commands_of_the_service_are_imported_without() -> None:
    modules = sorted(f"raysweep.service.commands.{path.stem}" for path in COMMANDS.glob("[!_]*.py"))
    loaded_by(f"import {', '.join(modules)}, trials.core.context, trials.core.data.knobs")


@pytest.mark.parametrize("study", PACKAGES)
def test_knobs_and_measurements_are_imported_without(study: str) -> None:
    loaded_by(f"import trials.{study}.knobs, trials.{study}.measurements")


@pytest.mark.parametrize("study", PACKAGES)
def test_help_and_plans_are_made_without(study: str, tmp_path: Path) -> None:
    """A plan of what is missing, and help last, for it ends the process."""
    printed = loaded_by(
        f"from raysweep.{study} import STUDY\n"
        "from raysweep.service.commands.study_command import main\n"
        f"assert main(STUDY, ['space=smoke', '--dry-run', {f'results={tmp_path}'!r}]) == 0\n"
        "try:\n    main(STUDY, ['--help'])\nexcept SystemExit as ended:\n    assert ended.code == 0",
        "pandas",
        "optuna",
    )
    assert f"{study}, space smoke: " in printed
    assert f"usage: python -m raysweep.{study}" in printed


def test_what_is_finished_is_planned_without(tmp_path: Path) -> None:
    """The store's side of a plan: ids and outcomes of trials that an earlier process ran."""
    study = next(study for study in every_study() if study.name == "gauss_newton_damping")
    trials = smallest_sweep(study)
    run_serially(study, tmp_path, trials)
    printed = loaded_by(
        "from raysweep.gauss_newton_damping import STUDY\n"
        "from raysweep.service.commands.study_command import main\n"
        f"assert main(STUDY, ['space=smoke', '--dry-run', {f'results={tmp_path}'!r}]) == 0"
    )
    assert f"{len(trials)} trials, {len(trials)} finished, 0 to run" in printed
