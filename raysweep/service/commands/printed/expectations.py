"""What a plan says of time: what will be needed, what stored trials and checkpoints save."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from analysis.store.checkpoints import Checkpoints, Reached
from analysis.store.parallel import in_parallel
from raysweep.service.code import TrialCode
from raysweep.service.commands.configuration import Settings
from raysweep.service.commands.printed.durations import duration, span
from raysweep.service.driver.estimates import Total
from raysweep.service.messages import PlannedTrial
from trials.core.checkpoints import LAYOUT


@dataclass(frozen=True)
class Resumption:
    """What checkpoints save.

    Attributes:
        own: Trials that go on from where they were broken off.
        longer: Trials that go on from the end of a shorter one.
        seconds: Time that went into these checkpoints.
    """

    own: int = 0
    longer: int = 0
    seconds: float = 0.0

    @property
    def line(self) -> str:
        """One line with its end, empty where no trial goes on."""
        parts = [f"{self.own} go on from their own checkpoint"] if self.own else []
        parts += [f"{self.longer} go on from a shorter one"] if self.longer else []
        saved = f", which saves {duration(self.seconds)} of trial time"
        return f"of these, {' and '.join(parts)}{saved}\n" if parts else ""


def resumption(trials: Sequence[PlannedTrial], checkpoints: Checkpoints, code: TrialCode | None = None) -> Resumption:
    """Return what checkpoints save the trials: those that can be read, of this version's layout and code."""
    names = list(dict.fromkeys(trial_id for trial in trials for trial_id in trial.goes_on_from))
    reached = dict(zip(names, in_parallel(checkpoints.reached, names), strict=True))
    found = {trial.trial_id: _first(trial, reached, code) for trial in trials}
    used = {trial_id: (name, reached[name]) for trial_id, name in found.items() if name}
    own = sum(trial_id == name for trial_id, (name, _) in used.items())
    seconds = sum(checkpoint.seconds for _, checkpoint in used.values() if checkpoint)
    return Resumption(own, len(used) - own, seconds)


def needed(total: Total, saved: float, settings: Settings) -> str:
    """Return what is to be said of the time that trials will take, some of which checkpoints save."""
    if total.duration is None:
        return "time not known: no stored trial is of like cost"
    beside = _beside(settings, total.known + total.unknown)
    low, high = (max(0.0, seconds - saved) / (beside or 1) for seconds in (total.duration.low, total.duration.high))
    how = "of trial time" if beside is None else f"of training, {beside} at a time" if beside > 1 else "of training"
    rest = f"; that of {total.unknown} others is not known" if total.unknown else ""
    return f"about {span(low, high)} {how}, from {total.told_by} trials of like cost{rest}"


def _first(trial: PlannedTrial, reached: dict[str, Reached | None], code: TrialCode | None) -> str | None:
    return next((name for name in trial.goes_on_from if _serves(reached[name], trial, code)), None)


def _serves(checkpoint: Reached | None, trial: PlannedTrial, code: TrialCode | None) -> bool:
    if checkpoint is None or checkpoint.layout != LAYOUT:
        return False
    is_of_this_code = code is None or checkpoint.code_hash in ("", code.hash_of(trial.knobs))
    return is_of_this_code and (not trial.rerun or checkpoint.rerun == trial.rerun)


def _beside(settings: Settings, trials: int) -> int | None:
    """Return how many trials run side by side, None where only a cluster or a measurement will tell."""
    if settings.executor == "serial":
        return 1
    if settings.address or os.environ.get("RAY_ADDRESS") or settings.resources.gpus:
        return None
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(trials, cores // settings.resources.cpus))
