"""A sweep: what is missing of a space is run, by an executor, within a budget."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from rich.console import Console

from analysis.store.results import Results
from raysweep.service import provenance
from raysweep.service.commands import records, summary
from raysweep.service.commands.configuration import Settings
from raysweep.service.commands.progress import ProgressDisplay
from raysweep.service.driver.budget import Budgeted
from raysweep.service.driver.plan import Plan, planned, resumed
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
    """

    trials: Sequence[PlannedTrial]
    sweep_id: str
    spent: str = ""
    interrupted: bool = False


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
        plan = planned(study, planner.grid, results.outcomes(study.name))
    except ValueError as error:
        raise UsageError(str(error)) from None
    sweep_id = records.id_of(trial.trial_id for trial in plan.trials)
    console.print(summary.plan_line(study, settings, plan, results), soft_wrap=True, highlight=False)
    if settings.plan_only:
        console.print(summary.plan_table(study, plan))
    elif plan.missing:
        results.prepare(study.schema)
        arrays = _arrays(settings, plan.missing)
        origin = provenance.captured(arrays)
        records.record(study, settings, plan.trials, results, origin)
        trials = _resumed(study, plan, results)
        console.print(summary.resumption_line(trials), end="", soft_wrap=True, highlight=False)
        work = work_of(study, settings.results, arrays, origin, settings.resources)
        ending = _executed(settings, work, ListedTrials(trials), results, console)
        summary.print_failures(study, settings, trials, ending.failed, console)
        return Sweep(plan.trials, sweep_id, ending.spent, ending.interrupted)
    return Sweep(plan.trials, sweep_id)


def _searched(study: Study, settings: Settings, results: Results, console: Console) -> Sweep:
    stored = results.trials(study.name).to_dict("records") if results.outcomes(study.name) else []
    stopping = settings.stopping
    supply = AskedTrials(study, settings.planner, stored, stops=stopping is not None)
    console.print(summary.search_line(study, settings, supply), soft_wrap=True, highlight=False)
    if not settings.plan_only and supply.remaining:
        results.prepare(study.schema)
        arrays = _arrays(settings, supply.known)
        origin = provenance.captured(arrays)
        work = work_of(study, settings.results, arrays, origin, settings.resources)
        work = replace(work, learning=True, stopping=stopping, objective=settings.objective)
        with records.recorded_search(study, settings, supply, results, origin):
            ending = _executed(settings, work, supply, results, console)
        summary.print_failures(study, settings, supply.known, ending.failed, console)
        return Sweep(supply.known, settings.asked, ending.spent, ending.interrupted)
    return Sweep(supply.known, settings.asked)


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


def _executed(settings: Settings, work: Work, supply: Supply, results: Results, console: Console) -> _Ending:
    """Run the trials until the last one, the end of the budget or an interruption."""
    failed: list[TrialReport] = []
    budgeted = Budgeted(supply, settings.budget)
    try:
        with Upkeep(results, work.schema.study), ProgressDisplay(budgeted.remaining, console) as display:

            def listen(reports: Sequence[TrialReport], running: int) -> None:
                failed.extend(report for report in reports if report.outcome == "failed")
                display.update(reports, running)

            _executor(settings).run(work, budgeted, listen)
    except KeyboardInterrupt:
        return _Ending(failed, interrupted=True)
    return _Ending(failed, budgeted.spent if supply.remaining else "")


def _executor(settings: Settings) -> Executor:
    # Torch and Ray take seconds to import: not for --help, a plan or a figure.
    if settings.executor == "serial":
        from raysweep.service.driver.serial import SerialExecutor

        return SerialExecutor()
    from raysweep.service.driver.tune import TuneExecutor

    return TuneExecutor(settings.address)
