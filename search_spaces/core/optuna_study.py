"""A search as a study of Optuna, for its dashboard and its plots."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.importance import FanovaImportanceEvaluator
from optuna.trial import FrozenTrial, TrialState, create_trial

from search_spaces.core.samplers import quiet
from search_spaces.core.search import CellSearch, SearchPlanner

LEAST_CONFIGURATIONS = 4
"""Fewer say nothing of importances."""


def importances(planner: SearchPlanner) -> dict[str, dict[str, float]]:
    """Return, of each objective, the share of each knob and axis in its variance, the largest first.

    The shares are functional ANOVA's, by Optuna. There are none where one knob alone varies, or too little is known.
    """
    with quiet(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        study = as_optuna_study(planner, None)
        complete = study.get_trials(states=[TrialState.COMPLETE])
        varying = (
            [name for name in study.trials[0].params if len({trial.params[name] for trial in complete}) > 1]
            if complete
            else []
        )
        if len(complete) < LEAST_CONFIGURATIONS or len(varying) < 2:
            return {}
        found: dict[str, dict[str, float]] = {}
        for place, name in enumerate(planner.settings.objective.directions):
            values = [trial.values[place] for trial in complete]
            if max(values) > min(values):
                found[name] = dict(
                    optuna.importance.get_param_importances(
                        study,
                        evaluator=FanovaImportanceEvaluator(seed=0),
                        params=varying,
                        target=lambda trial, place=place: trial.values[place],
                    )
                )
        return found


def as_optuna_study(planner: SearchPlanner, storage_url: str | None, name: str = "raysweep") -> optuna.Study:
    """Write what a search has been told to Optuna's storage and return the study; one of this name is replaced.

    A trial of the study is a configuration with the mean of its replicates. The axes of the grid, each with a search of
    its own, are categorical parameters beside those searched.

    Args:
        planner: The search.
        storage_url: Where to, for example `sqlite:///optuna.db`; None keeps it in memory.
        name: Name of the study.
    """
    with quiet():
        if storage_url is not None and name in optuna.get_all_study_names(storage_url):
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
