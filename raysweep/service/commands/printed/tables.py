"""Tables of a sweep: a row for each combination of the values of its axes, named as figures name them."""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.table import Table

from analysis.core.numbers import shown_numbers, shown_value
from analysis.store.results import Results
from raysweep.service.driver.plan import FINISHED, Plan
from raysweep.service.study import Study

MOST_ROWS = 60
OUTCOMES = ("finished", "diverged", "failed")
_SEED = "seed"
_ENDLESS_FROM = {"feature_update_interval": "steps"}
"""Knob -> the knob from whose value on it is as good as infinite: what never happens within a training."""

Setting = Mapping[str, Any]


def plan_table(study: Study, plan: Plan) -> Table:
    """Return the plan by the axes of its space: planned, finished, diverged, failed, missing."""
    settings = [trial.knobs.columns() for trial in plan.trials]
    outcomes = [plan.outcomes.get(trial.trial_id, "missing") for trial in plan.trials]
    axes, pooled = _axes(study, settings)
    table = _table(study, [*axes, "planned", *OUTCOMES, "missing"], pooled)
    for names, places in _rows(settings, axes):
        counts = Counter(outcomes[place] for place in places)
        missing = sum(count for outcome, count in counts.items() if outcome not in FINISHED)
        table.add_row(*names, *map(str, (len(places), *(counts[outcome] for outcome in OUTCOMES), missing)))
    return table


def outcome_table(study: Study, results: Results) -> Table:
    """Return the headline measurement by the axes of a sweep: its mean and range over the trials that finished."""
    knobs = [declared.name for declared in study.knobs.declared()]
    found = results.trials(study.name)
    settings = found[knobs].to_dict("records")
    outcomes, values = found["outcome"].tolist(), found[study.headline].tolist()
    axes, pooled = _axes(study, settings)
    name = study.headline.removeprefix("final_")
    headings = [*axes, f"{name} (mean)", "smallest", "largest", *OUTCOMES]
    table = _table(study, headings, f"{study.measurements[name].meaning}{'; ' if pooled else ''}{pooled}")
    for names, places in _rows(settings, axes):
        counts = Counter(outcomes[place] for place in places)
        measured = [values[place] for place in places if outcomes[place] == "finished"]
        table.add_row(*names, *_range(measured), *(str(counts[outcome]) for outcome in OUTCOMES))
    return table


def _range(values: Sequence[Any]) -> list[str]:
    there = [value for value in values if value is not None and not math.isnan(value)]
    if not there:
        return ["-"] * 3
    return [f"{number:.4f}" for number in (statistics.fmean(there), min(there), max(there))]


def _table(study: Study, headings: Sequence[str], caption: str) -> Table:
    table = Table(title=study.question, title_justify="left", caption=caption or None)
    for heading in headings:
        table.add_column(heading, justify="right")
    return table


def _axes(study: Study, settings: Sequence[Setting]) -> tuple[list[str], str]:
    """Return the knobs whose combinations are rows, the study's main one first, and in words which are pooled.

    Those are left out that follow from others, and further ones that would make more rows than can be read.
    """
    names = [study.across, *(declared.name for declared in study.knobs.declared() if declared.name != study.across)]
    values = {name: len({setting[name] for setting in settings}) for name in names}
    axes: list[str] = []
    pooled = []
    combinations = 1
    for name in names:
        if values[name] < 2 or name == _SEED:
            continue
        finer = len({tuple(setting[each] for each in (*axes, name)) for setting in settings})
        if axes and finer > max(MOST_ROWS, combinations):
            pooled.append(f"{name} ({values[name]} values)")
        elif finer > combinations:
            axes, combinations = [*axes, name], finer
    return axes or [study.across], f"pooled over {', '.join(pooled)}" if pooled else ""


def _rows(settings: Sequence[Setting], axes: Sequence[str]) -> Iterable[tuple[list[str], list[int]]]:
    """Yield for each combination of the axes' values their names and the places of its trials, in ascending order."""
    places: dict[tuple[Any, ...], list[int]] = {}
    for place, setting in enumerate(settings):
        places.setdefault(tuple(_value(setting, name) for name in axes), []).append(place)
    names = [_names({key[at] for key in places}) for at in range(len(axes))]
    for key in sorted(places, key=lambda values: [_order(value) for value in values]):
        yield [names[at][value] for at, value in enumerate(key)], places[key]


def _value(setting: Setting, name: str) -> Any:
    """Return a knob's value, infinity where it is as good as that."""
    end = setting.get(_ENDLESS_FROM.get(name, ""))
    return math.inf if end is not None and setting[name] >= end else setting[name]


def _names(values: Iterable[Any]) -> dict[Any, str]:
    distinct = list(values)
    numbers = shown_numbers(value for value in distinct if isinstance(value, float))
    return {value: numbers.get(value) or shown_value(value) for value in distinct}


def _order(value: Any) -> tuple[int, Any]:
    if value is None:
        return 2, ""
    return (1, value) if isinstance(value, str) else (0, value)
