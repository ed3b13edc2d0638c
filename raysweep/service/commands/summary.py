"""What a run prints: the plan before, the outcome after, and how to go on from there."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import pandas as pd
from rich.console import Console
from rich.table import Table

from analysis.core.panels import knob_names
from analysis.store.results import Results
from raysweep.service.commands.configuration import Settings
from raysweep.service.commands.printed.durations import duration
from raysweep.service.commands.printed.reproduction import repeating
from raysweep.service.driver.plan import FINISHED, Plan
from raysweep.service.driver.supply import AskedTrials
from raysweep.service.messages import PlannedTrial, TrialReport
from raysweep.service.study import Study
from search_spaces.core.search import SearchPlanner
from trials.core.knobs import TrialKnobs
from trials.core.values import Scalar


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


def plan_table(study: Study, plan: Plan) -> Table:
    """Return the plan by the study's main knob: planned, finished, diverged, failed, missing."""
    table = Table(title=study.question, title_justify="left")
    for heading in (study.across, "planned", "finished", "diverged", "failed", "missing"):
        table.add_column(heading, justify="right")
    for value, trials in _by_knob(study, plan.trials).items():
        outcomes = Counter(plan.outcomes.get(trial.trial_id, "missing") for trial in trials)
        missing = sum(count for outcome, count in outcomes.items() if outcome not in FINISHED)
        counts = (len(trials), outcomes["finished"], outcomes["diverged"], outcomes["failed"], missing)
        table.add_row(str(value), *map(str, counts))
    return table


def print_outcome(study: Study, settings: Settings, results: Results, console: Console) -> None:
    """Print what the trials of a run came to: of a search the best knobs, else the headline by the knob in question."""
    if isinstance(settings.planner, SearchPlanner):
        from raysweep.service.commands.printed.search_summary import print_search

        print_search(study, settings, settings.planner, results, console)
    else:
        console.print(outcome_table(study, results))


def outcome_table(study: Study, results: Results) -> Table:
    """Return the headline measurement by the knob in question: mean, smallest and largest, and outcomes.

    That knob is the study's main one; where a space has one value of it, the one of most values but the seed.
    """
    trials = results.trials(study.name)
    across = _told_by(study, trials)
    name = study.headline.removeprefix("final_")
    table = Table(title=study.question, title_justify="left", caption=study.measurements[name].meaning)
    for heading in (across, f"{name} (mean)", "smallest", "largest", "finished", "diverged", "failed"):
        table.add_column(heading, justify="right")
    for value, chosen in trials.groupby(across, dropna=False):
        finished = chosen.loc[chosen["outcome"] == "finished", study.headline]
        numbers = [f"{number:.4f}" for number in (finished.mean(), finished.min(), finished.max())]
        counts = [str(int((chosen["outcome"] == outcome).sum())) for outcome in ("finished", "diverged", "failed")]
        table.add_row(str(value), *(numbers if len(finished) else ["-"] * 3), *counts)
    return table


def _told_by(study: Study, trials: pd.DataFrame) -> str:
    if trials[study.across].nunique() > 1:
        return study.across
    values = {knob: len(set(trials[knob])) for knob in (study.across, *knob_names(trials)) if knob != "seed"}
    return max(values, key=values.__getitem__)


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


def _by_knob(study: Study, trials: Iterable[PlannedTrial]) -> dict[Scalar, list[PlannedTrial]]:
    def value(trial: PlannedTrial) -> Any:
        return trial.knobs.columns()[study.across]

    return {key: list(same) for key, same in itertools.groupby(sorted(trials, key=value), key=value)}
