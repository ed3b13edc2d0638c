"""The boundary of rare views, learned or memorised: the planner's and the dense grid's, from the same trials."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from analysis.store.results import Results
from raysweep.multi_view import STUDY
from raysweep.service.commands.configuration import read_settings
from search_spaces.core.boundary import BoundaryPlanner
from trials.core.context import TrialContext
from trials.multi_view.knobs import MultiViewKnobs
from trials.multi_view.recipe import run_many

RESPONSE = "final_test_acc_rare_mean"
EASIER = [
    *("channels=4", "views=4", "samples=120", "initial_scale=0.03", "steps=10000"),
    *("boundary.over.noise_magnitude='log(0.7,8,13)'", "boundary.over.rare_share='log(0.025,0.2,7)'"),
]
"""What makes of the space `boundary` one that trains in seconds."""

_AT_ONCE = 256  # small trainings: four groups of the size that a sweep takes cost twice as much as one

Accuracies = Mapping[MultiViewKnobs, float]


@dataclass(frozen=True)
class Comparison:
    """Two ways of classifying the cells of a diagram, and what further seeds say of them.

    Attributes:
        truth: Whether the mean of the further seeds is above the level, of the diagram's shape.
        dense: The same of the dense grid's seeds.
        planned: What the planner says.
        dense_means: Mean over the dense grid's seeds.
        planned_means: Mean over the trials that the planner asked for, nan where there are none.
        planned_trials: How many those are.
    """

    truth: np.ndarray
    dense: np.ndarray
    planned: np.ndarray
    dense_means: np.ndarray
    planned_means: np.ndarray
    planned_trials: np.ndarray

    @property
    def dense_wrong(self) -> float:
        """The share of the cells that the dense grid has on the wrong side."""
        return float(np.mean(self.dense != self.truth))

    @property
    def planned_wrong(self) -> float:
        """The share of the cells that the planner has on the wrong side."""
        return float(np.mean(self.planned != self.truth))


def planner(seeds: Iterable[int], overrides: Sequence[str] = ()) -> BoundaryPlanner:
    """Return the planner of the space `boundary` for some seeds."""
    found = read_settings(STUDY, ["space=boundary", f"axes.seed={list(seeds)}", *overrides]).planner
    assert isinstance(found, BoundaryPlanner)
    return found


def trained(trials: Iterable[MultiViewKnobs]) -> dict[MultiViewKnobs, float]:
    """Return the accuracy of each trial, trained in groups."""
    waiting, found = list(dict.fromkeys(trials)), {}
    for first in range(0, len(waiting), _AT_ONCE):
        group = waiting[first : first + _AT_ONCE]
        for index, row in run_many(group, TrialContext()):
            assert isinstance(row, Mapping)
            if row.get("test_acc_rare_mean") is not None:
                found[group[index]] = row["test_acc_rare_mean"]
    return found


def stored(root: Path | str, trials: Iterable[MultiViewKnobs]) -> dict[MultiViewKnobs, float]:
    """Return the accuracy of each trial from a results store; those it lacks are trained."""
    table = Results(root).trials(STUDY.name).set_index("trial_id")[RESPONSE].dropna()
    ids = {knobs: STUDY.trial_id(knobs) for knobs in trials}
    lacking = [knobs for knobs, trial_id in ids.items() if trial_id not in table.index]
    return {knobs: float(table[ids[knobs]]) for knobs in ids if knobs not in lacking} | trained(lacking)


def dense_trials(seeds: Iterable[int], overrides: Sequence[str] = ()) -> list[list[MultiViewKnobs]]:
    """Return the trials of every cell of the fine grid, cells x seeds."""
    asked = planner([0], overrides)
    (some,) = asked.ask(1)
    assert isinstance(some, MultiViewKnobs)
    over = asked.settings.over
    cells = [dict(zip(over, values, strict=True)) for values in itertools.product(*over.values())]
    return [[replace(some, **cell, seed=seed) for seed in seeds] for cell in cells]


def compared(accuracies: Accuracies, seeds: range, further: Sequence[int], overrides: Sequence[str] = ()) -> Comparison:
    """Return both ways of finding the boundary.

    Args:
        accuracies: Of all trials of all cells.
        seeds: Those that both may use.
        further: Those that say what is true.
        overrides: What differs from the space `boundary`.
    """
    seeking = planner(seeds, overrides)
    shape, level = seeking.settings.shape, seeking.settings.level
    trials = dense_trials([*seeds, *further], overrides)
    every = np.array([[accuracies[knobs] for knobs in of_cell] for of_cell in trials])
    asked = np.zeros((len(trials), len(seeds)), dtype=bool)
    places = {knobs: (cell, at) for cell, of_cell in enumerate(trials) for at, knobs in enumerate(of_cell)}
    while not seeking.finished:
        for knobs in seeking.ask(16):
            assert isinstance(knobs, MultiViewKnobs)
            asked[places[knobs]] = True
            seeking.tell(knobs, {"outcome": "finished", RESPONSE: accuracies[knobs]})
    (found,) = seeking.boundaries()
    own, counts = every[:, : len(seeds)], asked.sum(axis=1)
    sums = np.where(asked, own, 0).sum(axis=1)
    means = {
        "truth": every[:, len(seeds) :].mean(axis=1),
        "dense": own.mean(axis=1),
        "planned": np.divide(sums, counts, out=np.full(len(sums), np.nan), where=counts > 0),
    }
    return Comparison(
        truth=means["truth"].reshape(shape) > level,
        dense=means["dense"].reshape(shape) > level,
        planned=found.above,
        dense_means=means["dense"].reshape(shape),
        planned_means=means["planned"].reshape(shape),
        planned_trials=counts.reshape(shape),
    )
