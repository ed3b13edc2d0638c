"""What a run prints: the plan before, the outcome after, and how to go on from there."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.console import Console

from analysis.store.results import Results
from raysweep.service.commands.configuration import Settings
from raysweep.service.commands.printed.durations import duration
from raysweep.service.commands.printed.reproduction import repeating
from raysweep.service.commands.printed.tables import outcome_table
from raysweep.service.driver.plan import Plan
from raysweep.service.driver.supply import AskedTrials
from raysweep.service.messages import PlannedTrial, TrialReport
from raysweep.service.study import Study
from trials.core.knobs import TrialKnobs


def plan_line(study: Study, settings: Settings, plan: Plan, needed: str, saved: float) -> str:
    """Return one line: how many trials are asked for, the time that they need, how many are reused and what that saves.

    Further lines tell of combinations that are no trainings of their own, since some value makes another knob
    irrelevant, and of knobs that trials differ in and do not read.

    Args:
        study: The study.
        settings: The run.
        plan: Its plan.
        needed: What is said of the time that its missing trials need.
        saved: Seconds that its stored trials took.
    """
    missing = len(plan.missing)
    reused = len(plan.trials) - missing
    line = f"{study.name}, space {settings.space}: {len(plan.trials)} trials, {reused} finished, {missing} to run"
    line = f"{line}; {needed if missing else 'nothing to run'}" + (f", {duration(saved)} saved" if reused else "")
    asked = len(plan.trials) + plan.merged
    merged = [f"{plan.merged} of {asked} combinations are the same training as another"] if plan.merged else []
    return "\n".join(
        [line, *merged, *(f"{name} has several values among trials that do not read it" for name in plan.unread)]
    )


def print_outcome(study: Study, settings: Settings, results: Results, console: Console) -> None:
    """Print what the trials of a run came to: of a search the best knobs, else the headline by the axes."""
    if settings.search:
        from raysweep.service.commands.printed.search_summary import print_search

        print_search(study, settings, settings.search, results, console)
    else:
        console.print(outcome_table(study, results))


def search_line(study: Study, settings: Settings, supply: AskedTrials) -> str:
    """Return one line: how much of a search is known, and how much may come."""
    known, remaining = len(supply.known), supply.remaining
    return f"{study.name}, space {settings.space}: {known} trials known, at most {remaining} to run"


def print_failures(
    study: Study,
    settings: Settings,
    trials: Iterable[PlannedTrial],
    reports: Sequence[TrialReport],
    console: Console,
) -> None:
    """Print each distinct error once, with the command that runs its first trial in one process."""
    knobs = {trial.trial_id: trial.knobs for trial in trials}
    errors: dict[str, list[TrialReport]] = {}
    for report in reports:
        errors.setdefault(report.error or "", []).append(report)
    for error, failed in errors.items():
        command = reproducing(study, settings, knobs[failed[0].trial_id])
        for text in (f"\n{len(failed)} trials failed with:\n{error.rstrip()}", f"reproduce: {command}"):
            console.print(text, markup=False, highlight=False, soft_wrap=True)


def reproducing(study: Study, settings: Settings, knobs: TrialKnobs) -> str:
    """Return the command that runs one trial in its own process; one that has failed runs again by itself."""
    return repeating(
        study.schema, knobs.columns(), study.module, results=settings.results, data_path=settings.data_path, again=False
    )
