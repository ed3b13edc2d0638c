"""Boundary: trials go where they tell most about the line between two phases of a diagram."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from search_spaces.core.boundary_settings import BoundarySettings
from search_spaces.core.grid import SEED, Cell
from search_spaces.core.planner import StoredRow
from trials.core.knobs import TrialKnobs

if TYPE_CHECKING:
    from search_spaces.core.diagram import Diagram


@dataclass(frozen=True)
class Boundary:
    """A boundary as far as it is known.

    Attributes:
        cell: The combination of the grid's other axes that the diagram belongs to.
        level: The response at the boundary.
        above: The axes of the fine grid -> whether the response is expected above the level.
        misclassified: Probability, of the same shape, that this is wrong.
        points: Places where the boundary crosses from a cell to the next, as values of the knobs.
    """

    cell: Cell
    level: float
    above: np.ndarray
    misclassified: np.ndarray
    points: list[dict[str, float]]

    @property
    def doubt(self) -> float:
        """The share of the cells that is expected to be misclassified."""
        return float(self.misclassified.mean())


class BoundaryPlanner:
    """Finds where a response crosses a level, one diagram for each cell of a grid over the other axes.

    First a share of the trials is spread evenly; the rest goes where a Gaussian process says that it lowers the doubt
    about the boundary most: to a further cell, or where noise decides to a further seed of the same.

    Args:
        knobs: The class of knobs to build.
        cells: The combinations of the grid's other axes but the seed's, as columns.
        fixed: Values of the other knobs.
        seeds: Replicates that a cell of a diagram may have.
        settings: The boundary.

    Raises:
        ValueError: The knobs refuse a corner of the fine grid.
    """

    def __init__(
        self,
        *,
        knobs: type[TrialKnobs],
        cells: Sequence[Cell],
        fixed: Mapping[str, Any],
        seeds: Sequence[int],
        settings: BoundarySettings,
    ) -> None:
        # SciPy's statistics and scikit-learn take a second to import, and only a boundary that is sought needs them.
        from search_spaces.core.diagram import Diagram

        self.settings = settings
        self.knobs = knobs
        self.seeds = seeds
        self.cells = cells
        self._fixed = fixed
        self.diagrams = [Diagram(settings, seeds) for _ in cells]
        self._asked: set[TrialKnobs] = set()
        self._places: dict[TrialKnobs, list[tuple[int, int]]] = {}
        for diagram in range(len(cells)):
            for place in range(settings.cells):
                self._places.setdefault(self._trial(diagram, place, seeds[0]), []).append((diagram, place))

    def __len__(self) -> int:
        """Return the number of trials to spend on all diagrams."""
        return len(self.diagrams) * self.settings.budget(len(self.seeds))

    def ask(self, count: int) -> list[TrialKnobs]:
        asked: dict[TrialKnobs, None] = {}
        for position in sorted(range(len(self.diagrams)), key=lambda position: self.diagrams[position].spent):
            share = math.ceil((count - len(asked)) / max(len(self.diagrams), 1))
            for place, seed in self.diagrams[position].following(share):
                asked[self._trial(position, place, seed)] = None
        new = [knobs for knobs in asked if knobs not in self._asked]  # two cells may be the same trial
        self._asked.update(new)
        return new

    def tell(self, knobs: TrialKnobs, row: StoredRow) -> bool:
        places = self._places.get(_with_seed(knobs, self.seeds[0]), ()) if knobs.seed in self.seeds else ()
        for diagram, place in places:
            self.diagrams[diagram].tell(place, knobs.seed, row)
        return bool(places)

    @property
    def finished(self) -> bool:
        return all(diagram.finished for diagram in self.diagrams)

    def boundaries(self) -> list[Boundary]:
        """Return what is known of each diagram's boundary, leaving out diagrams without any response."""
        told = [(cell, diagram) for cell, diagram in zip(self.cells, self.diagrams, strict=True) if diagram.told]
        return [self._boundary(cell, diagram) for cell, diagram in told]

    def _boundary(self, cell: Cell, diagram: Diagram) -> Boundary:
        known = diagram.known
        return Boundary(
            cell=cell,
            level=diagram.level,
            above=(known.mean > 0).reshape(self.settings.shape),
            misclassified=known.misclassified.reshape(self.settings.shape),
            points=list(self._crossings(known.mean)),
        )

    def _crossings(self, mean: np.ndarray) -> Iterator[dict[str, float]]:
        """Yield the places between neighbouring cells where the expected response crosses the level."""
        for axis, here, there in _neighbours(self.settings.shape):
            crossed = (mean[here] > 0) != (mean[there] > 0)
            for cell, after in zip(here[crossed], there[crossed], strict=True):
                share = mean[cell] / (mean[cell] - mean[after])
                values, further = self._values(int(cell)), self._values(int(after))
                name = list(values)[axis]
                yield {**values, name: _between(values[name], further[name], float(share))}

    def _values(self, place: int) -> dict[str, Any]:
        positions = map(int, np.unravel_index(place, self.settings.shape))
        return {name: values[at] for (name, values), at in zip(self.settings.over.items(), positions, strict=True)}

    def _trial(self, diagram: int, place: int, seed: int) -> TrialKnobs:
        try:
            columns = {**self._fixed, **self.cells[diagram], **self._values(place), SEED: seed}
            return self.knobs.from_columns(columns)
        except ValueError as error:
            raise ValueError(f"boundary.over: {error}") from None


def _with_seed(knobs: TrialKnobs, seed: int) -> TrialKnobs:
    return type(knobs).from_columns({**knobs.columns(), SEED: seed})


def _between(here: float, there: float, share: float) -> float:
    """Return what lies at a share of the way, on a logarithmic scale where both ends are positive."""
    if math.isinf(there):
        return here
    if here > 0:
        return float(here * (there / here) ** share)
    return float(here + (there - here) * share)


def _neighbours(shape: Sequence[int]) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """Yield for each axis the cells that have a further one along it, and those further ones."""
    cells = np.arange(math.prod(shape)).reshape(shape)
    for axis, length in enumerate(shape):
        yield axis, cells.take(range(length - 1), axis).ravel(), cells.take(range(1, length), axis).ravel()
