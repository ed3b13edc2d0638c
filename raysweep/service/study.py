"""A study: one experiment, from the question to the figure."""

from __future__ import annotations

import importlib
import keyword
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import MISSING, dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from analysis.store.schema import Column, StudySchema
from raysweep.service.declared import declaring_module
from trials.core.fingerprints import fingerprint

if TYPE_CHECKING:
    from analysis.core.figures import Drawing
    from analysis.store.results import Results
    from trials.core.context import Together, TrialContext
    from trials.core.knobs import TrialKnobs
    from trials.core.rows import Measurements, Row

Trial = Callable[[Any, "TrialContext"], "Iterator[Row]"]


@dataclass(frozen=True, kw_only=True)
class Resources:
    """What one actor takes while it trains.

    Attributes:
        cpus: Cores, which is also the number of torch threads.
        gpus: GPUs: 0, a whole number, 1/n to put n actors on one GPU, or `auto`: the share that the trials are measured
            to need before the sweep begins.

    Raises:
        ValueError: No core is asked for, or the fraction is not 1/n.
    """

    cpus: int = 1
    gpus: float | Literal["auto"] = 0.0

    def __post_init__(self) -> None:
        if not isinstance(self.cpus, int) or isinstance(self.cpus, bool) or self.cpus < 1:
            raise ValueError(f"resources.cpus must be a whole number of at least 1, got {self.cpus!r}")
        if self.gpus == "auto":
            return
        if not isinstance(self.gpus, int | float) or isinstance(self.gpus, bool) or not 0 <= self.gpus < 1e6:
            raise ValueError(f"resources.gpus must be 0, 1/n, a whole number or auto, got {self.gpus!r}")
        if 0 < self.gpus < 1 and abs(1 / self.gpus - round(1 / self.gpus)) > 0.05:
            nearest = round(1 / round(1 / self.gpus), 3)
            raise ValueError(f"resources.gpus must be 1/n so that actors fill a GPU, got {self.gpus!r}; try {nearest}")
        if self.gpus > 1 and self.gpus != int(self.gpus):
            raise ValueError(f"resources.gpus above 1 must be a whole number, got {self.gpus!r}")

    @property
    def gpu_fraction(self) -> float:
        """GPUs as a number.

        Raises:
            ValueError: They are `auto`, and nothing has been measured yet.
        """
        if self.gpus == "auto":
            raise ValueError("resources.gpus=auto is no number before a trial has been measured")
        return self.gpus


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How a study's trials run.

    Attributes:
        run: (knobs, context) -> rows.
        together: How it trains several trials at once; None if it does not.
    """

    run: Trial
    together: Together | None = None


@dataclass(frozen=True, kw_only=True)
class Study:
    """One experiment, question to figure.

    Attributes:
        name: The name that its declaration, trials, figures and spaces share.
        question: What it asks, in one sentence.
        knobs: The class of all that decides a trial; it needs no torch, nor do the measurements.
        measurements: What a row of the recipe holds.
        recipe: Name of the module with `run(knobs, context)` and, if trials train together, `TOGETHER`, or both
            themselves; by default the module that has the knobs. It is imported when trials run: for help, plans and
            stored results it is not.
        figures: Name of the module with `draw(results)`, imported when there is something to draw.
        resources: What one actor takes, unless the command line says otherwise.
        extendable: Knob along which a training goes on: rows and state at a step are the same for every larger value,
            so that a longer trial goes on from where a shorter one ended. Empty if there is none.
        shared_work: What trials of equal value have computed once: the knobs of a trial's stages, a stage after those
            that it needs, and none for a trial without. One trial of each value runs before all others, so that actors
            that begin at once compute different stages. Plans ask for it, so it needs no torch either.
        revision: Raised when the recipe's science changes, so that new trials get new ids.
        module: The module that declares it, found out by itself: its command is `python -m MODULE`.

    Raises:
        ValueError: The name is none that a module, a folder and a table can have.
        headline: Measurement that the summary and the plan's tables show.
        across: Knob whose values are the rows of the summary.
        direction: Which values of the headline are the better ones.
    """

    name: str
    question: str
    knobs: type[TrialKnobs]
    measurements: Measurements
    recipe: str | Recipe = ""
    figures: str
    headline: str
    across: str
    direction: Literal["maximize", "minimize"] = "maximize"
    resources: Resources = field(default_factory=Resources)
    extendable: str = ""
    shared_work: Callable[[Any], Sequence[Hashable]] | None = None
    revision: int = 1
    module: str = field(default_factory=declaring_module, compare=False)

    def __post_init__(self) -> None:
        if not self.name.isidentifier() or keyword.iskeyword(self.name):
            raise ValueError(f"a study's name must be one of a module, such as my_study, got {self.name!r}")
        object.__setattr__(self, "recipe", self.recipe or self.knobs.__module__)

    @property
    def command(self) -> tuple[str, ...]:
        """The command that runs it, without settings."""
        return ("python", "-m", self.module)

    @property
    def trial(self) -> Trial:
        """The recipe's `run`, imported now if it has not been."""
        return self._recipe.run

    @property
    def together(self) -> Together | None:
        """How the recipe trains several trials at once; None if it does not."""
        return self._recipe.together

    def draw(self, results: Results) -> Sequence[Drawing]:
        """Return the figures of the study's results."""
        return importlib.import_module(self.figures).draw(results)

    @property
    def _recipe(self) -> Recipe:
        if isinstance(self.recipe, Recipe):
            return self.recipe
        module = importlib.import_module(self.recipe)
        return Recipe(run=module.run, together=getattr(module, "TOGETHER", None))

    @property
    def schema(self) -> StudySchema:
        """The schema of the study's two tables."""
        return StudySchema(
            study=self.name,
            revision=self.revision,
            knobs=tuple(
                Column(
                    name=declared.name,
                    path=".".join(declared.path),
                    type=declared.type,
                    unit=declared.unit,
                    meaning=declared.meaning,
                    default=None if declared.default is MISSING else declared.default,
                )
                for declared in self.knobs.declared()
            ),
            measurements=tuple(
                Column(name=name, type=entry.type, unit=entry.unit, meaning=entry.meaning, inner_axis=entry.inner_axis)
                for name, entry in self.measurements.items()
            ),
        )

    def trial_id(self, knobs: TrialKnobs) -> str:
        """Return the identity of one trial: the study's name, its revision and the knobs not at their default."""
        return fingerprint([self.name, self.revision, knobs.identity()])
