"""Reuse: whether stored trials that other code or other data made are gone on with, or computed anew."""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from rich.console import Console

from analysis.store.results import Results
from analysis.store.tables import Run
from raysweep.service.code import TrialCode, code_of, data_name
from raysweep.service.commands import records
from raysweep.service.commands.configuration import Settings
from raysweep.service.dependencies import changed_modules
from raysweep.service.driver.plan import FINISHED
from raysweep.service.driver.staleness import Differences, Pair, compared, finished, pending
from raysweep.service.errors import UsageError
from raysweep.service.messages import PlannedTrial, stopped_id
from raysweep.service.study import Study
from trials.core.data.contents import content_of
from trials.core.data.records import data_set

_NAMED = 3
_ADVICE = "--rerun computes them anew, --reuse goes on with them"


@dataclass(frozen=True, kw_only=True)
class Reuse:
    """What is decided of the stored trials of a sweep.

    Attributes:
        code: The modules that its trials run now.
        reruns: Trials to be computed anew -> the number of the rerun.
        accepted: Differences that the user goes on with, to be remembered in the sweep's record.
        stages: Which stages are gone on with beside those of this code and these data; see `Work`.
    """

    code: TrialCode
    reruns: Mapping[str, int] = field(default_factory=dict)
    accepted: Sequence[Pair] = ()
    stages: str = "unknown"


def decided(
    study: Study,
    settings: Settings,
    trials: Collection[PlannedTrial],
    runs: Mapping[str, Run],
    results: Results,
    console: Console,
) -> Reuse:
    """Say how the stored ones among trials differ from now, and return what is to be done with them.

    Trials that are to be computed anew are noted in the store, so that a rerun that is broken off goes on.

    Raises:
        UsageError: Nobody can be asked, and the data have changed; or whoever was asked wants neither.
    """
    code = code_of(study)
    waiting = pending(trials, runs, results.reruns(study.name).asked())
    stored = [trial for trial in finished(trials, runs) if trial.trial_id not in waiting]
    stages = "none" if waiting or settings.rerun or settings.reuse == "never" else "unknown"
    if waiting:
        _say(console, f"{len(waiting)} trials are still to be computed anew, as was asked for before")
    if not stored:
        return Reuse(code=code, reruns=waiting, stages="any" if settings.reuse == "always" else stages)
    data_hashes, unread = _contents(settings, stored, runs, is_complete=len(stored) == len(trials))
    if unread:
        _say(console, f"{' and '.join(unread)} cannot be read here, so stored trials were not compared with it")
    found = compared(stored, runs, code, data_hashes, _remembered(results, study, trials))
    anew, accepted = _chosen(found, _Telling(study, results, code, len(stored), console), settings)
    if settings.rerun and not (anew or waiting):
        anew = {trial.trial_id for trial in stored}
    numbers = {trial_id: runs[trial_id].rerun + 1 for trial_id in sorted(anew)}
    if numbers and not settings.plan_only:
        _request(results, study, numbers)
    goes_on = bool(set(found.pairs) & set(accepted) & {*found.code, *found.data})
    stages = "none" if numbers else "any" if goes_on or settings.reuse == "always" else stages
    return Reuse(code=code, reruns={**waiting, **numbers}, accepted=accepted, stages=stages)


def settle(results: Results, study: str) -> None:
    """Take back the requests to compute trials anew that are fulfilled."""
    requests = results.reruns(study)
    if requests.asked():
        reruns = {name: run.rerun for name, run in results.runs(study).items() if run.outcome in FINISHED}
        for name in list(reruns):  # a search may have stopped what had come to its end before, or the other way round
            both = (name, stopped_id(name))
            reruns.update(dict.fromkeys(both, max(reruns.get(each, 0) for each in both)))
        requests.settle(reruns)


def _chosen(found: Differences, telling: _Telling, settings: Settings) -> tuple[set[str], Sequence[Pair]]:
    """Return which trials are computed anew, and which differences are gone on with for good."""
    if settings.rerun:
        return found.stale | found.uncertain, ()
    unknown = tuple(found.unknown) if telling.unknown(found) else ()
    if not found.stale:
        return set(), unknown
    line = telling.line(found)
    answer = settings.reuse
    if answer == "ask" and settings.plan_only:
        answer = "warn"
    elif answer == "ask":
        answer = telling.answer(line) if telling.is_answered else "stop" if found.data else "warn"
    if answer == "stop":
        raise UsageError(f"{line}; {_ADVICE}")
    if answer == "never":
        return found.stale, unknown
    if answer == "warn":
        telling.say(f"{line}; {_ADVICE}" if settings.plan_only else f"warning: {line}; {_ADVICE}")
    else:
        telling.say(f"{line}; they are gone on with")
    return set(), found.pairs if answer == "always" else unknown


class _Telling:
    """Says how stored trials differ from now, and asks what to do."""

    def __init__(self, study: Study, results: Results, code: TrialCode, stored: int, console: Console) -> None:
        self._study = study
        self._stored = stored
        self._results = results
        self._code = code
        self._console = console

    def say(self, line: str) -> None:
        _say(self._console, line)

    def unknown(self, found: Differences) -> bool:
        """Tell of trials of unknown code, and return whether there are any."""
        if found.unknown:
            self.say(f"{len(found.uncertain)} stored trials are older than the hash of their code; they are reused")
        return bool(found.unknown)

    def line(self, found: Differences) -> str:
        """Return one line: how many stored trials differ, and in what."""
        code = {trial.trial_id for trials in found.code.values() for trial in trials}
        data = {trial.trial_id for trials in found.data.values() for trial in trials}
        names = sorted({data_name(trial.knobs) for trials in found.data.values() for trial in trials})
        parts = [f"{len(code)} by other code ({self._modules(found)})"] if code else []
        parts += [f"{len(data)} from other data ({', '.join(names)})"] if data else []
        return f"{len(found.stale)} of {self._stored} stored trials differ from now: {', '.join(parts)}"

    @property
    def is_answered(self) -> bool:
        """Whether somebody sees a question and can answer it."""
        heard = all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stdout))
        return heard and self._console.is_terminal

    def answer(self, line: str) -> str:
        """Ask what to do and return `never` to compute anew, or `always`.

        Raises:
            UsageError: Neither is wanted.
        """
        self.say(line)
        try:
            said = self._console.input("compute them anew (r), go on with them (u), or stop (q)? ").strip().lower()
        except EOFError:
            said = ""
        if said[:1] not in ("r", "u"):
            raise UsageError(f"nothing was run; {_ADVICE}")
        return "never" if said[0] == "r" else "always"

    def _modules(self, found: Differences) -> str:
        changed: set[str] = set()
        for (before, _), trials in found.code.items():
            modules = self._results.code(self._study.name, before)
            if modules is None:
                return "which modules is not known"
            changed |= set(changed_modules(modules, self._code.modules_of(trials[0].knobs)))
        named = sorted(changed, key=lambda name: (name.split(".")[1:2] == ["core"], name))
        more = f" and {len(named) - _NAMED} more" if len(named) > _NAMED else ""
        return f"changed: {', '.join(named[:_NAMED])}{more}"


def _say(console: Console, line: str) -> None:
    console.print(line, soft_wrap=True, markup=False, highlight=False)


def _contents(
    settings: Settings, stored: Iterable[PlannedTrial], runs: Mapping[str, Run], *, is_complete: bool
) -> tuple[dict[str, str], list[str]]:
    """Return the fingerprints of the data sets that stored trials read, as they are now, and which cannot be known.

    Files of this machine are read if need be; what would have to be fetched only if trials are to be run on it anyway.
    """
    read = {data_name(trial.knobs) for trial in stored if runs[trial.trial_id].data_hash}
    names = {
        name for name in read & set(settings.data_sets) if not data_set(name).brought
    }  # their ids say what they are
    path = settings.data_path
    fetched = not (settings.plan_only or is_complete)
    contents: dict[str, str] = {}
    unread: list[str] = []
    for name in sorted(names):
        try:
            content = content_of(name, path, read=fetched or (path is not None and "://" not in path))
        except ValueError as error:
            if fetched:
                raise UsageError(str(error)) from None
            content = None
        if content is not None:
            contents[name] = content
        elif not data_set(name).no_path:  # what comes with a library or is generated goes by its code
            unread.append(name)
    return contents, unread


def _remembered(results: Results, study: Study, trials: Iterable[PlannedTrial]) -> set[Pair]:
    """Return the differences that are gone on with in this sweep, or in one of which it is a part more."""
    ids = {trial.trial_id for trial in trials}
    return {
        (before, now)
        for sweep in results.sweeps(study.name)
        if ids.issuperset(sweep.trial_ids)
        for before, now in sweep.document.get(records.REUSED, ())
    }


def _request(results: Results, study: Study, numbers: Mapping[str, int]) -> None:
    """Note in the store which trials are to be computed anew; checkpoints of their earlier runs go before."""
    checkpoints = results.checkpoints(study.name)
    for trial_id in checkpoints.ids() & numbers.keys():
        checkpoints.delete(trial_id)
    results.reruns(study.name).ask(numbers)
