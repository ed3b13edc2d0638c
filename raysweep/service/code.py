"""Code: the modules that a trial runs, under one hash that is stored with it."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from raysweep.service.dependencies import Modules, modules_of
from trials.core.data.records import DATA_SETS
from trials.core.fingerprints import fingerprint
from trials.core.knobs import TrialKnobs

if TYPE_CHECKING:
    from raysweep.service.study import Study


@dataclass(frozen=True)
class TrialCode:
    """What the trials of a study run: the recipe, and what reads the data or is named by knobs.

    The driver's answers travel with it, so that they are those of all processes.

    Attributes:
        recipe: Modules that every trial runs.
        known: Other modules of a trial -> hash and modules of its code.
    """

    recipe: tuple[str, ...]
    known: dict[tuple[str, ...], tuple[str, Modules]] = field(default_factory=dict)

    def hash_of(self, knobs: TrialKnobs) -> str:
        """Return the hash of the modules that a trial runs."""
        return self._of(knobs)[0]

    def modules_of(self, knobs: TrialKnobs) -> Modules:
        """Return the modules that a trial runs, each with the hash of its code."""
        return self._of(knobs)[1]

    def _of(self, knobs: TrialKnobs) -> tuple[str, Modules]:
        others = _others(knobs)
        if others not in self.known:
            modules = modules_of(*self.recipe, *others)
            self.known[others] = fingerprint(modules), modules
        return self.known[others]


def code_of(study: Study) -> TrialCode:
    """Return the code of a study's trials; nothing is imported for it."""
    return TrialCode((*_modules(study.recipe), study.knobs.__module__))


@functools.cache  # a process runs what it has imported
def stage_code(compute: Callable[..., Any]) -> str:
    """Return the hash of the modules that a stage runs."""
    return fingerprint(modules_of(compute.__module__))


def data_name(knobs: TrialKnobs) -> str:
    """Return the name of the data set that a trial reads, empty for none."""
    return str(getattr(getattr(knobs, "data", None), "name", ""))


def _others(knobs: TrialKnobs) -> tuple[str, ...]:
    name = data_name(knobs)
    reader = (DATA_SETS[name].reader_module,) if name in DATA_SETS else ()
    return (*reader, *sorted(knobs.own_modules()))


def _modules(recipe: Any) -> tuple[str, ...]:
    """Return the modules of a recipe that is named, or given as functions."""
    if isinstance(recipe, str):
        return (recipe,)
    functions = (recipe.run, *((recipe.together.run,) if recipe.together else ()))
    return tuple(dict.fromkeys(function.__module__ for function in functions))
