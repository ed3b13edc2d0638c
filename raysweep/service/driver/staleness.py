"""Staleness: stored trials that other code or other data made than there are now."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from analysis.store.tables import Run
from raysweep.service.code import TrialCode, data_name
from raysweep.service.driver.plan import FINISHED
from raysweep.service.messages import PlannedTrial

UNKNOWN = "unknown"
Pair = tuple[str, str]
"""A stored hash, or `UNKNOWN`, and the hash of now."""


@dataclass(frozen=True, kw_only=True)
class Differences:
    """How stored trials differ from what the same knobs would be computed from now.

    Attributes:
        code: (stored hash, hash of now) -> trials that other code made.
        data: (stored hash, hash of now) -> trials that read other data.
        unknown: Hash of now -> trials of which nobody wrote down what code made them.
    """

    code: Mapping[Pair, Sequence[PlannedTrial]]
    data: Mapping[Pair, Sequence[PlannedTrial]]
    unknown: Mapping[Pair, Sequence[PlannedTrial]]

    @property
    def stale(self) -> set[str]:
        """Ids of the trials that are known to differ."""
        return {trial.trial_id for trials in (*self.code.values(), *self.data.values()) for trial in trials}

    @property
    def uncertain(self) -> set[str]:
        """Ids of the trials of unknown code."""
        return {trial.trial_id for trials in self.unknown.values() for trial in trials}

    @property
    def pairs(self) -> list[Pair]:
        """What differs, in the form in which a decision to go on with it is remembered."""
        return sorted({*self.code, *self.data, *self.unknown})


def compared(
    trials: Iterable[PlannedTrial],
    runs: Mapping[str, Run],
    code: TrialCode,
    data_hashes: Mapping[str, str],
    accepted: Collection[Pair] = (),
) -> Differences:
    """Compare the stored runs of trials with the code and the data of now.

    Args:
        trials: Trials that have a result in the store.
        runs: Their runs by id, and perhaps others.
        code: The modules that trials run now.
        data_hashes: Name of a data set -> hash of its content now, where it is known.
        accepted: Differences that are to be gone on with.
    """
    kinds = ("code", "data", "unknown")
    found: dict[str, dict[Pair, list[PlannedTrial]]] = {kind: {} for kind in kinds}
    for trial in trials:
        run = runs[trial.trial_id]
        made = ("code" if run.code_hash else "unknown", run.code_hash or UNKNOWN, code.hash_of(trial.knobs))
        read = ("data", run.data_hash, data_hashes.get(data_name(trial.knobs)))
        for kind, before, now in (made, read):
            if before and now and before != now and (before, now) not in accepted:
                found[kind].setdefault((before, now), []).append(trial)
    return Differences(**found)


def finished(trials: Iterable[PlannedTrial], runs: Mapping[str, Run]) -> list[PlannedTrial]:
    """Return those of the trials that have a result in the store."""
    return [trial for trial in trials if trial.trial_id in runs and runs[trial.trial_id].outcome in FINISHED]


def pending(trials: Iterable[PlannedTrial], runs: Mapping[str, Run], asked: Mapping[str, int]) -> dict[str, int]:
    """Return which trials were asked for anew and have not been computed since, with the numbers of the reruns."""
    waiting = {trial.trial_id: asked[trial.trial_id] for trial in trials if trial.trial_id in asked}
    return {name: number for name, number in waiting.items() if not _is_met(runs.get(name), number)}


def _is_met(run: Run | None, number: int) -> bool:
    return run is not None and run.outcome in FINISHED and run.rerun >= number
