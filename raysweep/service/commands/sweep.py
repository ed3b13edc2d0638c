"""A sweep: what is missing of a space is run, by an executor, within a budget."""

from __future__ import annotations

import contextlib
import copy
import os
import sys
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from rich.console import Console

from analysis.store.results import Results
from raysweep.service.code import TrialCode
from raysweep.service.commands import records, reuse, summary
from raysweep.service.commands.configuration import Settings
from raysweep.service.commands.lost_cluster import leave
from raysweep.service.commands.printed import expectations
from raysweep.service.commands.printed.tables import plan_table
from raysweep.service.commands.progress import ProgressDisplay
from raysweep.service.declared import named_by_knobs, own_places
from raysweep.service.driver.budget import Budgeted
from raysweep.service.driver.estimates import stored_times, total_of
from raysweep.service.driver.forecast import Forecast
from raysweep.service.driver.plan import Plan, planned, resumed
from raysweep.service.driver.process_state import state_kept
from raysweep.service.driver.supply import AskedTrials, ListedTrials, Supply
from raysweep.service.driver.upkeep import Upkeep
from raysweep.service.errors import UsageError
from raysweep.service.messages import PlannedTrial, TrialReport, Work, work_of
from raysweep.service.study import Study
from search_spaces.core.planner import GridPlanner
from trials.core.data.arrays import Arrays, ChoosesData, load_arrays

if TYPE_CHECKING:
    from raysweep.service.driver.serial import Executor


@dataclass(frozen=True)
class Sweep:
    """What a run of a space came to.

    Attributes:
        trials: The trials of the space, stored before or asked for now.
        sweep_id: Name of what was asked for: the trials of a grid; the settings of a search, which is yet to choose.
        spent: What of the budget ran out before the end, empty if nothing did.
        interrupted: Whether it was interrupted; what had finished by then is stored.
        failed: How many trials failed now, whatever of them was stored before.
    """

    trials: Sequence[PlannedTrial]
    sweep_id: str
    spent: str = ""
    interrupted: bool = False
    failed: int = 0


@dataclass(frozen=True)
class _Ending:
    """How the trials of a run ended: the reports of those that failed, and why it ended before the last one."""

    failed: Sequence[TrialReport]
    spent: str = ""
    interrupted: bool = False


def run(study: Study, settings: Settings, results: Results, console: Console) -> Sweep:
    """Run what is missing of the space that the settings describe, or only say what that is.

    Raises:
        UsageError: A knob or the data are not what they must be; nothing has been started.
        StoreError: The store fails.
    """
    try:
        if isinstance(settings.planner, GridPlanner):
            return _gridded(study, settings.planner, settings, results, console)
        return _searched(study, settings, results, console)
    finally:
        records.forget_announcement(study, results)


def _gridded(study: Study, planner: GridPlanner, settings: Settings, results: Results, console: Console) -> Sweep:
    try:
        runs = results.runs(study.name)
        plan = planned(study, planner.grid, {trial_id: run.outcome for trial_id, run in runs.items()})
    except ValueError as error:
        raise UsageError(str(error)) from None
    sweep_id = records.id_of(trial.trial_id for trial in plan.trials)
    decision = reuse.decided(study, settings, plan.trials, runs, results, console)
    plan = plan.anew(decision.reruns)
    trials, forecast = _told(study, settings, plan, decision.code, results, console)
    if settings.plan_only:
        console.print(plan_table(study, plan))
    elif plan.missing:
        results.prepare(study.schema)
        arrays = _arrays(settings, plan.missing)
        with _executor(study, settings, len(plan.missing), plan.missing) as executor:
            origin = records.origin(study, settings, arrays, plan.missing, decision, results)
            records.record(study, settings, plan.trials, results, origin)
            records.remember(study, settings, plan.trials, decision, results)
            work = work_of(study, settings.results, arrays, origin, settings.resources)
            work = replace(work, reused_stages=decision.stages)
            ending = _executed(executor, settings, work, ListedTrials(trials), results, console, forecast)
        summary.print_failures(study, settings, trials, ending.failed, console)
        return Sweep(plan.trials, sweep_id, ending.spent, ending.interrupted, len(ending.failed))
    records.remember(study, settings, plan.trials, decision, results)
    return Sweep(plan.trials, sweep_id)


def _searched(study: Study, settings: Settings, results: Results, console: Console) -> Sweep:
    runs = results.runs(study.name)
    stored = results.trials(study.name).to_dict("records") if runs else []
    stopping = settings.stopping
    stops = stopping is not None
    # A planner that has been told of a trial cannot forget it, so a copy finds out which trials are of its space.
    of_space = AskedTrials(study, copy.deepcopy(settings.planner), stored, stops=stops).known if stored else []
    decision = reuse.decided(study, settings, of_space, runs, results, console)
    reruns = decision.reruns
    anew = [replace(trial, rerun=reruns[trial.trial_id]) for trial in of_space if trial.trial_id in reruns]
    supply = AskedTrials(study, settings.planner, stored, anew=anew, stops=stops)
    console.print(summary.search_line(study, settings, supply), soft_wrap=True, highlight=False)
    if not settings.plan_only and supply.remaining:
        results.prepare(study.schema)
        arrays = _arrays(settings, supply.known)
        with _executor(study, settings, supply.remaining, supply.ahead()) as executor:
            origin = records.origin(study, settings, arrays, of_space, decision, results)
            work = work_of(study, settings.results, arrays, origin, settings.resources)
            work = replace(work, learning=True, stopping=stopping, objective=settings.objective)
            work = replace(work, reused_stages=decision.stages)
            with records.recorded_search(study, settings, supply, results, origin):
                ending = _executed(executor, settings, work, supply, results, console)
        records.declare_code(study, supply.known, decision, results)
        records.remember(study, settings, supply.known, decision, results)
        summary.print_failures(study, settings, supply.known, ending.failed, console)
        return Sweep(supply.known, settings.asked, ending.spent, ending.interrupted, len(ending.failed))
    records.remember(study, settings, supply.known, decision, results)
    return Sweep(supply.known, settings.asked)


def _told(
    study: Study, settings: Settings, plan: Plan, code: TrialCode, results: Results, console: Console
) -> tuple[list[PlannedTrial], Forecast]:
    """Say what the plan is and what it takes; return the trials that are missing, and what is known of their times."""
    estimates, seconds = stored_times(study, results)
    trials = _resumed(study, plan, results) if plan.missing else []
    resumption = expectations.resumption(trials, results.checkpoints(study.name), code)
    needed = expectations.needed(total_of(estimates, trials), resumption.seconds, settings)
    missing = {trial.trial_id for trial in trials}
    saved = sum(seconds.get(trial.trial_id, 0.0) for trial in plan.trials if trial.trial_id not in missing)
    line = summary.plan_line(study, settings, plan, needed, saved)
    console.print(f"{line}\n{resumption.line}", end="", soft_wrap=True, highlight=False)
    return trials, Forecast(estimates, trials)


def _resumed(study: Study, plan: Plan, results: Results) -> list[PlannedTrial]:
    """Return the missing trials, with the checkpoints that they may go on from."""
    known = study.extendable and results.finished(study.name)
    values = results.trials(study.name)[study.extendable].unique().tolist() if known else []
    return resumed(study, plan, results.checkpoints(study.name).ids(), values)


def _arrays(settings: Settings, trials: Collection[PlannedTrial]) -> dict[str, Arrays]:
    """Return the raw arrays of every data set, loaded once, before any actor starts, and found to suit the trials.

    The files and libraries that trials name are found to suit them as well.
    """
    wanted = {knobs for trial in trials for knobs in vars(trial.knobs).values() if isinstance(knobs, ChoosesData)}
    try:
        arrays = {name: load_arrays(name, settings.data_path) for name in settings.data_sets}
        for knobs in wanted:
            knobs.refuse_misfit(arrays[knobs.name])
        for trial in trials:
            trial.knobs.refuse_unfit(arrays)
    except ValueError as error:
        raise UsageError(str(error)) from None
    return arrays


def _executed(
    executor: Executor,
    settings: Settings,
    work: Work,
    supply: Supply,
    results: Results,
    console: Console,
    forecast: Forecast | None = None,
) -> _Ending:
    """Run the trials until the last one, the end of the budget or an interruption."""
    failed: list[TrialReport] = []
    budgeted = Budgeted(supply, settings.budget)
    try:
        with Upkeep(results, work.schema.study), ProgressDisplay(budgeted.remaining, console, forecast) as display:

            def listen(reports: Sequence[TrialReport], running: int) -> None:
                failed.extend(report for report in reports if report.outcome == "failed")
                display.update(reports, running)

            executor.run(work, budgeted, listen)
    except KeyboardInterrupt:
        return _Ending(failed, interrupted=True)
    reuse.settle(results, work.schema.study)
    return _Ending(failed, budgeted.spent if supply.remaining else "")


@contextlib.contextmanager
def _executor(study: Study, settings: Settings, trials: int, ahead: Iterable[PlannedTrial]) -> Iterator[Executor]:
    """Yield what runs so many trials, of which some are known ahead.

    Ray starts, and ends, while this process goes on with what else is to be done.

    The workers of a local Ray, one a core, import the recipe meanwhile where each of them will have a trial.
    """
    # Torch and Ray take seconds to import: not for --help, a plan or a figure.
    if settings.executor == "serial":
        from raysweep.service.driver.serial import SerialExecutor

        yield SerialExecutor()
        return
    from raysweep.service.driver.cluster import Connection

    resources = settings.resources
    each_has_one = resources.cpus == 1 and not resources.gpus and trials >= (os.cpu_count() or 1)
    recipe = study.recipe if each_has_one and isinstance(study.recipe, str) else ""
    named = named_by_knobs(module for trial in ahead for module in trial.knobs.own_modules())
    connection = Connection(settings.address, own_places(study.module, *named), recipe)
    with state_kept():
        connection.begin()
        try:
            from raysweep.service.driver.tune import TuneExecutor  # imports Tune, while Ray starts

            yield TuneExecutor(connection, lambda error: leave(study, settings, error))
        finally:
            connection.end()


def disconnected() -> None:
    """Return when this process is as connected to Ray as it was before: it may go on, and connect, for itself."""
    if "raysweep.service.driver.cluster" in sys.modules:
        sys.modules["raysweep.service.driver.cluster"].Connection.join()
