"""A search as a study of Optuna, for its dashboard and its plots."""

from __future__ import annotations

from collections.abc import Iterator

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from search_spaces.core.samplers import quiet
from search_spaces.core.search import CellSearch, SearchPlanner


def as_optuna_study(planner: SearchPlanner, storage_url: str, name: str = "raysweep") -> optuna.Study:
    """Write what a search has been told to Optuna's storage and return the study; one of this name is replaced.

    A trial of the study is a configuration with the mean of its replicates. The axes of the grid, each with a search of
    its own, are categorical parameters beside those searched.

    Args:
        planner: The search.
        storage_url: Where to, for example `sqlite:///optuna.db`.
        name: Name of the study.
    """
    with quiet():
        if name in optuna.get_all_study_names(storage_url):
            optuna.delete_study(study_name=name, storage=storage_url)
        directions = planner.settings.objective.directions
        study = optuna.create_study(storage=storage_url, study_name=name, directions=list(directions.values()))
        study.set_metric_names(list(directions))
    study.add_trials([trial for search in planner.searches for trial in _trials(planner, search)])
    return study


def _trials(planner: SearchPlanner, search: CellSearch) -> Iterator[FrozenTrial]:
    observations = search.observations
    distributions = {**_axes(planner), **planner.settings.over}
    for parameters, values in observations.values(observations.complete()).items():
        yield create_trial(
            state=TrialState.FAIL if values is None else TrialState.COMPLETE,
            params={**search.cell, **dict(zip(planner.settings.over, parameters, strict=True))},
            distributions=distributions,
            values=None if values is None else list(values),
            user_attrs={"diverged_seeds": observations.diverged(parameters)},
        )


def _axes(planner: SearchPlanner) -> dict[str, BaseDistribution]:
    cells = [search.cell for search in planner.searches]
    return {name: CategoricalDistribution(list(dict.fromkeys(cell[name] for cell in cells))) for name in cells[0]}
