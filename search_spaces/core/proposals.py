"""Proposals: the next configuration of a search, from what is known and nothing else.

Every course is a function of the settings and the observations: a new process that is told the same rows proposes the
same configuration. Optuna's studies are scratch paper here.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Collection
from typing import Protocol

import optuna
from optuna.samplers import BaseSampler
from optuna.trial import TrialState, create_trial

from search_spaces.core.objectives import Observations, Parameters, Values
from search_spaces.core.ranges import meant, number_of_values, values_of
from search_spaces.core.samplers import SAMPLERS, Course, built, new_study
from search_spaces.core.search_settings import SearchSettings
from trials.core.fingerprints import fingerprint

REPEATS = 16
"""Proposals of what is known already after which a sampler is taken to have nothing new."""

Settled = Callable[[Parameters], Parameters]
"""Parameters as the knobs keep them, which may set one value for another that means the same."""


class Proposals(Protocol):
    """Proposes the configurations of one search, one after another."""

    def following(self, observations: Observations, known: Collection[Parameters]) -> Parameters | None:
        """Return the next configuration, None while results are awaited or when there is none.

        Args:
            observations: The results so far.
            known: The configurations with results, and those under way.
        """

    def finished(self, observations: Observations, known: Collection[Parameters]) -> bool:
        """Return whether there will be no further configuration, whatever the results of those under way."""


def proposals(settings: SearchSettings, settled: Settled) -> Proposals:
    """Return the course of the settings' sampler."""
    courses: dict[Course, Callable[[SearchSettings, Settled], Proposals]] = {
        Course.SEQUENCE: FixedSequence,
        Course.GENERATIONS: Generational,
        Course.MODEL: ModelBased,
    }
    return courses[SAMPLERS[settings.sampler].course](settings, settled)


class FixedSequence:
    """A fixed sequence; stored trials that are not on it are no part of the search."""

    def __init__(self, settings: SearchSettings, settled: Settled) -> None:
        self._settings, self._settled = settings, settled
        sampler = built(SAMPLERS[settings.sampler], settings.seed)
        self._study = new_study(settings.objective.directions.values(), sampler)
        self._path: dict[Parameters, None] = {}
        self._repeats = 0

    def following(self, observations: Observations, known: Collection[Parameters]) -> Parameters | None:
        while not self._complete:
            self._grow()
        return next((parameters for parameters in self._path if parameters not in known), None)

    def finished(self, observations: Observations, known: Collection[Parameters]) -> bool:
        return self.following(observations, known) is None

    @property
    def _complete(self) -> bool:
        return len(self._path) >= self._settings.trials or self._repeats > REPEATS

    def _grow(self) -> None:
        parameters = self._settled(_asked(self._study.ask(dict(self._settings.over)), self._settings))
        self._repeats = self._repeats + 1 if parameters in self._path else 0
        self._path[parameters] = None


class Generational:
    """Generations, each proposed from the results of those before; the next begins when one is complete."""

    def __init__(self, settings: SearchSettings, settled: Settled) -> None:
        self._settings, self._settled = settings, settled
        sampler = built(SAMPLERS[settings.sampler], settings.seed, settings.size_of_generation)
        self._study = new_study(settings.objective.directions.values(), sampler)
        self._path: dict[Parameters, None] = {}
        self._generation: list[tuple[optuna.trial.Trial, Parameters]] = []
        self._repeats = 0

    def following(self, observations: Observations, known: Collection[Parameters]) -> Parameters | None:
        while not (new := [parameters for _, parameters in self._generation if parameters not in known]):
            if self._complete or any(observations.missing(parameters) for _, parameters in self._generation):
                return None
            self._advance(observations)
        return new[0]

    def finished(self, observations: Observations, known: Collection[Parameters]) -> bool:
        return self.following(observations, known) is None and self._complete

    @property
    def _complete(self) -> bool:
        return len(self._path) >= self._settings.trials or self._repeats > REPEATS

    def _advance(self, observations: Observations) -> None:
        """Tell the sampler the generation's results and let it propose the next."""
        values = observations.values(self._path)
        for trial, parameters in self._generation:
            self._study.tell(trial, *_result(values[parameters]))
        room = self._settings.trials - len(self._path)
        before = len(self._path)
        asked = [self._study.ask(dict(self._settings.over)) for _ in range(self._settings.size_of_generation)]
        generation = [(trial, self._settled(_asked(trial, self._settings))) for trial in asked]
        new = list(dict.fromkeys(parameters for _, parameters in generation if parameters not in self._path))[:room]
        self._path.update(dict.fromkeys(new))
        self._generation = [(trial, parameters) for trial, parameters in generation if parameters in self._path]
        self._repeats = self._repeats + 1 if len(self._path) == before else 0


class ModelBased:
    """Proposals from all results, whoever asked for the trials; those under way count as bad until they are known."""

    def __init__(self, settings: SearchSettings, settled: Settled) -> None:
        self._settings, self._settled = settings, settled
        self._endless = any(math.isinf(number_of_values(entry)) for entry in settings.over.values())
        self._draft: tuple[int, optuna.Study] | None = None

    def following(self, observations: Observations, known: Collection[Parameters]) -> Parameters | None:
        if self.finished(observations, known):
            return None
        if self._draft is None or self._draft[0] != observations.revision:
            self._draft = observations.revision, self._study(observations, known)
        study = self._draft[1]
        study.sampler = self._sampler(len(known))
        for _ in range(REPEATS):
            parameters = self._settled(_asked(study.ask(dict(self._settings.over)), self._settings))
            if parameters not in known:
                return parameters
        return self._any_other(known)

    def finished(self, observations: Observations, known: Collection[Parameters]) -> bool:
        if len(known) >= self._settings.trials:
            return True
        return not self._endless and self._any_other(known) is None

    def _sampler(self, position: int) -> BaseSampler:
        """Return a sampler of its own for each proposal, so that no proposal depends on how many were drawn before."""
        seed = int(fingerprint([self._settings.seed, position])[:7], 16)
        return built(SAMPLERS[self._settings.sampler], seed)

    def _study(self, observations: Observations, known: Collection[Parameters]) -> optuna.Study:
        """Return a study of all that is known, in an order of its own."""
        study = new_study(self._settings.objective.directions.values(), self._sampler(len(known)))
        values = observations.values(observations.complete())
        study.add_trials([as_trial(self._settings, *result) for result in values.items()])
        under_way = sorted((parameters for parameters in known if parameters not in values), key=repr)
        study.add_trials([as_trial(self._settings, parameters, None, TrialState.RUNNING) for parameters in under_way])
        return study

    def _any_other(self, known: Collection[Parameters]) -> Parameters | None:
        """Return some configuration that is not known, None if there is none or no end of them."""
        if self._endless:
            return None
        every = itertools.product(*map(values_of, self._settings.over.values()))
        return next((settled for settled in map(self._settled, every) if settled not in known), None)


def as_trial(
    settings: SearchSettings, parameters: Parameters, values: Values | None, state: TrialState | None = None
) -> optuna.trial.FrozenTrial:
    """Return a configuration and its result as a trial of Optuna; without values it failed, unless `state` is given."""
    return create_trial(
        state=state or (TrialState.FAIL if values is None else TrialState.COMPLETE),
        params=dict(zip(settings.over, parameters, strict=True)),
        distributions=dict(settings.over),
        values=None if values is None else list(values),
    )


def _asked(trial: optuna.trial.Trial, settings: SearchSettings) -> Parameters:
    return tuple(meant(distribution, trial.params[name]) for name, distribution in settings.over.items())


def _result(values: Values | None) -> tuple[list[float] | None, TrialState]:
    return (None, TrialState.FAIL) if values is None else (list(values), TrialState.COMPLETE)
