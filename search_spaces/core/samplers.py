"""Samplers: Optuna's, by the names that a space may give."""

from __future__ import annotations

import contextlib
import math
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.samplers import BaseSampler

from trials.core.suggestions import suggestion


class Course(Enum):
    """What a sampler's next proposal depends on."""

    SEQUENCE = auto()
    """Its position in a sequence that no result changes."""
    GENERATIONS = auto()
    """All results of the generations before."""
    MODEL = auto()
    """All results there are, and which trials are under way."""


@dataclass(frozen=True)
class Sampler:
    """One of Optuna's samplers.

    Attributes:
        course: What a proposal depends on.
        build: Seed and size of a generation -> the sampler.
        several_objectives: Whether it takes more than one.
        choices: Whether it takes knobs with choices, as well as numbers.
        generation: Dimensions and trials -> the default size of a generation, where there are generations.
    """

    course: Course
    build: Callable[[int, int], BaseSampler]
    several_objectives: bool = True
    choices: bool = True
    generation: Callable[[int, int], int] = lambda dimensions, trials: 1


SAMPLERS: Mapping[str, Sampler] = {
    "random": Sampler(Course.SEQUENCE, lambda seed, size: optuna.samplers.RandomSampler(seed=seed)),
    "qmc": Sampler(
        Course.SEQUENCE,
        lambda seed, size: optuna.samplers.QMCSampler(scramble=True, seed=seed, warn_independent_sampling=False),
    ),
    "tpe": Sampler(
        Course.MODEL,
        lambda seed, size: optuna.samplers.TPESampler(seed=seed, multivariate=True, constant_liar=True),
    ),
    "gp": Sampler(
        Course.MODEL, lambda seed, size: optuna.samplers.GPSampler(seed=seed, warn_independent_sampling=False)
    ),
    "cmaes": Sampler(
        Course.GENERATIONS,
        lambda seed, size: optuna.samplers.CmaEsSampler(seed=seed, popsize=size, warn_independent_sampling=False),
        several_objectives=False,
        choices=False,
        generation=lambda dimensions, trials: 4 + math.floor(3 * math.log(dimensions)),
    ),
    "nsga2": Sampler(
        Course.GENERATIONS,
        lambda seed, size: optuna.samplers.NSGAIISampler(seed=seed, population_size=size),
        generation=lambda dimensions, trials: min(max(trials // 6, 4), 50),
    ),
}
"""Name -> sampler.

Source: random, Bergstra and Bengio, JMLR 13 (2012); qmc, scrambled Sobol points, Bousquet et al., arXiv 1706.03200;
tpe, Bergstra et al., NeurIPS 2011, and Watanabe, arXiv 2304.11127; gp, expected improvement over a Gaussian process,
Snoek et al., arXiv 1206.2944; cmaes, Hansen, arXiv 1604.00772, with its default generation of 4 + 3 ln d; nsga2, Deb et
al., IEEE Transactions on Evolutionary Computation 6 (2002); all as in Optuna, Akiba et al., arXiv 1907.10902.
"""


def sampler_named(name: str, ranges: Mapping[str, BaseDistribution], objectives: Sequence[str]) -> Sampler:
    """Return a sampler that suits the ranges and the number of objectives.

    Raises:
        ValueError: There is no sampler of that name, or it cannot do what is asked.
    """
    if name not in SAMPLERS:
        raise ValueError(f"search.sampler={name!r} is unknown; {suggestion(name, SAMPLERS)}")
    sampler = SAMPLERS[name]
    if len(objectives) > 1 and not sampler.several_objectives:
        able = [other for other, entry in SAMPLERS.items() if entry.several_objectives]
        raise ValueError(f"search.sampler={name} takes one objective; for several there are {', '.join(able)}")
    listed = [knob for knob, entry in ranges.items() if isinstance(entry, CategoricalDistribution)]
    if listed and not sampler.choices:
        able = [other for other, entry in SAMPLERS.items() if entry.choices]
        raise ValueError(f"search.sampler={name} takes no choices, as {listed[0]} has; {', '.join(able)} do")
    return sampler


def built(sampler: Sampler, seed: int, generation: int = 1) -> BaseSampler:
    """Return Optuna's sampler."""
    with quiet():
        return sampler.build(seed, generation)


def new_study(directions: Iterable[str], sampler: BaseSampler) -> optuna.Study:
    """Return an empty study in memory."""
    with quiet():
        return optuna.create_study(directions=list(directions), sampler=sampler)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep Optuna from announcing studies, and from warning that interfaces used here may change."""
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            yield
    finally:
        optuna.logging.set_verbosity(verbosity)
