"""What tests of the patch model share: the trials of the study's spaces, trained together, and their last rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import pandas as pd

from raysweep.multi_view import STUDY
from tests.studies import smallest_sweep, sweep_of
from trials.core.context import TrialContext
from trials.core.rows import checked
from trials.multi_view.knobs import MultiViewKnobs
from trials.multi_view.measurements import MEASUREMENTS
from trials.multi_view.recipe import TOGETHER, run_many


def knobs(**changes: Any) -> MultiViewKnobs:
    return MultiViewKnobs(**changes)


def small(**changes: Any) -> MultiViewKnobs:
    """Return the first trial of the smallest sweep, changed, and with room for more noise."""
    first = smallest_sweep(STUDY)[0].knobs
    assert isinstance(first, MultiViewKnobs)
    return replace(first, **{"dimension": 300, **changes})


def trials_of(space: str, *overrides: str) -> list[MultiViewKnobs]:
    """Return the trials of one of the study's spaces."""
    return [trial.knobs for trial in sweep_of(STUDY, space, *overrides)]  # type: ignore[misc]


def together(trials: list[MultiViewKnobs]) -> list[list[Mapping[str, Any]]]:
    """Return the rows of each trial."""
    rows: list[list[Mapping[str, Any]]] = [[] for _ in trials]
    for index, row in run_many(trials, TrialContext()):
        assert isinstance(row, Mapping)
        rows[index].append(row)
    return [list(checked(told, MEASUREMENTS)) for told in rows]


def ends(trials: Iterable[MultiViewKnobs]) -> pd.DataFrame:
    """Return the last rows of each trial, one a view, beside its knobs; trials train in the largest groups allowed."""
    last = []
    for group in _groups(trials):
        for index, row in run_many(group, TrialContext()):
            assert isinstance(row, Mapping)
            if row.get("steps_run") is not None:
                (whole,) = checked([row], MEASUREMENTS)
                last.append({"trial_id": STUDY.trial_id(group[index]), **group[index].columns(), **whole})
    return pd.DataFrame(last)


def ends_of(space: str, *overrides: str) -> pd.DataFrame:
    """Return the last row of each trial of a space, which is that of its last view, beside its knobs."""
    last = ends(trials_of(space, *overrides))
    return last[last["view"] == last["views"]]


def _groups(trials: Iterable[MultiViewKnobs]) -> Iterable[list[MultiViewKnobs]]:
    alike: dict[Any, list[MultiViewKnobs]] = {}
    for trial in dict.fromkeys(trials):
        alike.setdefault(TOGETHER.key(trial), []).append(trial)
    for group in alike.values():
        yield from (group[first : first + TOGETHER.most] for first in range(0, len(group), TOGETHER.most))
