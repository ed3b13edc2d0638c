"""Groups: trials of one pack that train at once."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Any

from raysweep.service.messages import PlannedTrial
from raysweep.service.worker.survival import Leaving
from trials.core.context import Together, TrialContext
from trials.core.rows import Diverged, Measurements, checked


@dataclass
class Told:
    """What a recipe told of one trial.

    Attributes:
        rows: Its rows, checked.
        outcome: How it ended.
        error: Reason of a divergence, what is stored of a failure.
    """

    rows: list[Any] = field(default_factory=list)
    outcome: str = "finished"
    error: str | None = None


@dataclass(frozen=True)
class Group:
    """Trials that may train together.

    Attributes:
        key: What they have in common, None for a trial that trains by itself.
        trials: At least one.
    """

    key: Hashable | None
    trials: Sequence[PlannedTrial]


def grouped(
    trials: Iterable[PlannedTrial], together: Together | None, checkpoints: Callable[[], AbstractSet[str]] = frozenset
) -> Iterator[Group]:
    """Yield the trials by key, in the order in which the keys come; those that train by themselves one by one.

    Args:
        trials: Trials of one study.
        together: How its recipe trains several at once; None if it does not.
        checkpoints: Ids of the trials that have left a checkpoint: a trial that goes on from one trains by itself.
    """
    if together is None:
        yield from (Group(None, (trial,)) for trial in trials)
        return
    listed = list(trials)
    stored = checkpoints() if any(trial.goes_on_from for trial in listed) else frozenset()
    members: dict[tuple[Hashable | None, str], list[PlannedTrial]] = {}
    for trial in listed:
        key = together.key(trial.knobs) if stored.isdisjoint(trial.goes_on_from) else None
        members.setdefault((key, trial.trial_id if key is None else ""), []).append(trial)
    yield from (Group(key, alike) for (key, _), alike in members.items())


def told_together(
    together: Together,
    trials: Sequence[PlannedTrial],
    context: TrialContext,
    measurements: Measurements,
    leaving: Callable[[], bool],
) -> list[Told]:
    """Train the trials at once and return what was told of each, in their order.

    Raises:
        Leaving: This process is told to end.
        ValueError: A row is not what was declared, or belongs to no trial that is still training.
        Exception: Whatever the recipe raises.
    """
    told = [Told() for _ in trials]
    for index, row in together.run([trial.knobs for trial in trials], context):
        if leaving():
            raise Leaving
        if not 0 <= index < len(told) or told[index].outcome == "diverged":
            raise ValueError(f"run_many told of trial {index}, which is none of the {len(told)} that are training")
        if isinstance(row, Diverged):
            told[index].outcome, told[index].error = "diverged", str(row)
        else:
            told[index].rows.extend(checked([row], measurements))
    silent = [index for index, each in enumerate(told) if not each.rows and each.outcome == "finished"]
    if silent:
        raise ValueError(f"run_many told nothing of trials {silent}")
    return told
