"""The door from Python: a sweep, or its plan, by one call in the words of the command line."""

from __future__ import annotations

from typing import Any

from analysis.store.results import Results
from raysweep.service.commands import sweep as commands_sweep
from raysweep.service.commands.configuration import read_settings
from raysweep.service.commands.drawing import drawn, figure_target
from raysweep.service.commands.settings.keywords import overrides_of
from raysweep.service.commands.study_command import opened, output
from raysweep.service.commands.sweep_objects import SweepPlan, SweepRun, recorder
from raysweep.service.errors import UsageError
from raysweep.service.studies import importable, study_named
from raysweep.service.study import Study


def sweep(study: str | Study, /, *, progress: bool = True, **settings: Any) -> SweepRun:
    """Run what is missing of a space, and return its tables and figures.

    Settings are those of the command line (`python -m raysweep.<study> --help`): `space="laptop"`, any knob
    (`learning_rate=0.05`; several values, as in `seed=range(3)`, make it an axis), `axes={"seed": range(3)}`, groups
    as dicts (`data={"path": "images"}`), `results="results"`, `executor="serial"`, `budget={"hours": 8}`. Figures are
    drawn when they are asked for, and written to a file where `figure=` names one.

    Ctrl-C ends the sweep and returns what there is; the same call goes on. A Ray that the program is connected to is
    used, and stays.

    Args:
        study: Name of a study, or of the module that declares one; or the study itself.
        progress: Whether to print the plan, the progress and the errors of trials that failed; otherwise `printed` of
            what is returned has them.
        settings: The settings.

    Raises:
        UsageError: A setting is not allowed; nothing has been started.
        StoreError: The store cannot be read or written.
    """
    chosen = _study(study)
    if "plan" in settings:
        raise UsageError("plan is no setting of a call; raysweep.plan(...) returns the plan")
    resolved = read_settings(chosen, overrides_of(chosen, settings))
    results, console = opened(chosen, resolved), output() if progress else recorder()
    target = figure_target(chosen, resolved)
    try:
        ran = commands_sweep.run(chosen, resolved, results, console)
    finally:
        commands_sweep.disconnected()
    run = SweepRun(
        study=chosen,
        settings=resolved,
        planned=ran.trials,
        results=_of(ran, results),
        spent=ran.spent,
        interrupted=ran.interrupted,
        printed="" if progress else console.export_text(),
    )
    if resolved.figure and not run.interrupted:
        for line in drawn(chosen, resolved, run.results, target):
            console.print(line, soft_wrap=True, markup=False, highlight=False)
    return run


def plan(study: str | Study, /, **settings: Any) -> SweepPlan:
    """Return what `sweep` would run with the same arguments, and what of it is stored; nothing runs.

    Args:
        study: Name of a study, or the study itself.
        settings: The settings, as `sweep` takes them.

    Raises:
        UsageError: A setting is not allowed.
        StoreError: The store cannot be read.
    """
    chosen = _study(study)
    resolved = read_settings(chosen, [*overrides_of(chosen, settings), "plan=true"])
    results, printed = opened(chosen, resolved), recorder()
    ran = commands_sweep.run(chosen, resolved, results, printed)
    outcomes = _of(ran, results).outcomes(chosen.name)
    return SweepPlan(study=chosen, planned=ran.trials, outcomes=outcomes, printed=printed.export_text())


def _study(study: str | Study) -> Study:
    return importable(study if isinstance(study, Study) else study_named(study))


def _of(ran: commands_sweep.Sweep, results: Results) -> Results:
    """Return the results of a sweep's trials alone."""
    return results.only([trial.trial_id for trial in ran.trials])
