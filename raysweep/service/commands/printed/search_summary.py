"""What a search ends with: the best knobs, what they gave over seeds, and the command that verifies them with more."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table

from analysis.core.best_settings import front
from analysis.core.search_figures import SearchFound
from analysis.store.results import Results
from raysweep.service.commands.configuration import Settings
from raysweep.service.commands.printed.reproduction import with_seeds
from raysweep.service.study import Study
from search_spaces.core.optuna_study import importances
from search_spaces.core.search import CellSearch, SearchPlanner
from trials.core.knobs import TrialKnobs

MORE_SEEDS = 10
_MOST_COMMANDS = 8


@dataclass(frozen=True)
class Configuration:
    """A configuration that a search has looked at.

    Attributes:
        cell: The grid's axes -> its values.
        searched: The knobs searched -> its values.
        knobs: Its trial with the first seed.
        values: Objective -> the finite values of its finished seeds, in the order of seeds.
        seeds: Number of seeds that it was to have.
        ended: When the last of its trials ended, as text.
    """

    cell: Mapping[str, Any]
    searched: Mapping[str, Any]
    knobs: TrialKnobs
    values: Mapping[str, Sequence[float]]
    seeds: int
    ended: str

    @property
    def finished(self) -> int:
        return len(next(iter(self.values.values())))

    def mean(self, objective: str) -> float:
        """Return the mean over its seeds, NaN unless every one finished: the others would be those that survived."""
        return math.fsum(self.values[objective]) / self.seeds if self.finished == self.seeds else math.nan


def configurations(study: Study, planner: SearchPlanner, results: Results) -> list[Configuration]:
    """Return every configuration of which a trial is stored, in the order in which they ended.

    A trial that was stopped early counts as not finished: its last value is no final one.
    """
    rows = {row["trial_id"]: row for row in results.trials(study.name).to_dict("records")}
    found = [known for search in planner.searches for known in _of_cell(study, planner, search, rows)]
    return sorted(found, key=lambda known: known.ended)


def _of_cell(
    study: Study, planner: SearchPlanner, search: CellSearch, rows: Mapping[str, Mapping[str, Any]]
) -> Iterable[Configuration]:
    objectives, seeds = list(planner.settings.objective.directions), search.observations.seeds
    for parameters in search.observations.replicates:
        trials = [search.trial(parameters, seed) for seed in seeds]
        stored = [row for trial in trials if (row := rows.get(study.trial_id(trial))) is not None]
        told = [tuple(row[name] for name in objectives) for row in stored if row["outcome"] == "finished"]
        finite = [values for values in told if all(value is not None and math.isfinite(value) for value in values)]
        yield Configuration(
            cell=search.cell,
            searched=dict(zip(planner.settings.over, parameters, strict=True)),
            knobs=trials[0],
            values={name: [values[place] for values in finite] for place, name in enumerate(objectives)},
            seeds=len(seeds),
            ended=max((str(row["finished_at"]) for row in stored), default=""),
        )


def winners(found: Sequence[Configuration], directions: Mapping[str, str]) -> list[Configuration]:
    """Return, of each search, the best configuration by one objective; of several the front, which none surpasses.

    Only those count whose every seed finished.
    """
    signs = np.array([1 if direction == "maximize" else -1 for direction in directions.values()])
    chosen: list[Configuration] = []
    for cell in dict.fromkeys(tuple(known.cell.items()) for known in found):
        whole = [known for known in found if tuple(known.cell.items()) == cell and known.finished == known.seeds]
        if not whole:
            continue
        values = np.array([[known.mean(name) for name in directions] for known in whole]) * signs
        if len(directions) == 1:
            chosen.append(whole[int(values[:, 0].argmax())])
        else:
            kept = [known for known, stays in zip(whole, front(values), strict=True) if stays]
            chosen += sorted(kept, key=lambda known: known.mean(next(iter(directions))))
    return chosen


def print_search(study: Study, settings: Settings, planner: SearchPlanner, results: Results, console: Console) -> None:
    """Print the best knobs of each search, what they gave over seeds, and the commands that run them with more."""
    found, directions = configurations(study, planner, results), planner.settings.objective.directions
    best = winners(found, directions)
    if not best:
        console.print(f"of {len(found)} configurations none has finished with every seed", soft_wrap=True)
        return
    console.print(_table(found, best, directions))
    console.print("the best of many is the luckiest as well; with seeds that did not choose it:", soft_wrap=True)
    for known in best[:_MOST_COMMANDS]:
        first = max(planner.searches[0].observations.seeds) + 1
        command = with_seeds(
            study.schema,
            known.knobs.columns(),
            study.module,
            range(first, first + MORE_SEEDS),
            results=settings.results,
            data_path=settings.data_path,
        )
        console.print(f"  {command}", soft_wrap=True, markup=False, highlight=False)
    if len(best) > _MOST_COMMANDS:
        console.print(f"  and so for {len(best) - _MOST_COMMANDS} more", soft_wrap=True)


def _table(found: Sequence[Configuration], best: Sequence[Configuration], directions: Mapping[str, str]) -> Table:
    aims = ", ".join(f"{name} ({direction})" for name, direction in directions.items())
    what = "best" if len(directions) == 1 else "front"
    table = Table(title=f"{what} of {len(found)} configurations by {aims}", title_justify="left")
    several = [name for name in best[0].cell if len({known.cell[name] for known in found}) > 1]
    for heading in (*several, *best[0].searched):
        table.add_column(heading, justify="right")
    for name in directions:
        for heading in (f"{name} (mean)", "smallest", "largest"):
            table.add_column(heading, justify="right")
    table.add_column("seeds", justify="right")
    for known in best:
        knobs = [_short(known.cell[name]) for name in several] + [_short(value) for value in known.searched.values()]
        values = [
            f"{number:.4f}"
            for name in directions
            for number in (known.mean(name), min(known.values[name]), max(known.values[name]))
        ]
        table.add_row(*knobs, *values, str(known.seeds))
    return table


def search_found(study: Study, planner: SearchPlanner, results: Results) -> SearchFound:
    """Return what the figures of a search show."""
    directions = planner.settings.objective.directions
    found = configurations(study, planner, results)
    several = [name for name in (found[0].cell if found else {}) if len({known.cell[name] for known in found}) > 1]
    table = [
        {
            **{name: known.cell[name] for name in several},
            **known.searched,
            **{name: known.mean(name) for name in directions},
        }
        for known in found
    ]
    return SearchFound(
        configurations=pd.DataFrame(table, columns=[*several, *planner.settings.over, *directions]),
        axes=several,
        over=list(planner.settings.over),
        directions=directions,
        importances=importances(planner),
    )


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
