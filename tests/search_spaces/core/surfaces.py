"""Noisy responses over a square whose boundary is known, and how well a planner finds it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from search_spaces.core.boundary import BoundaryPlanner
from search_spaces.core.boundary_settings import BoundarySettings
from tests.search_spaces.core.toys import ToyKnobs

SIDE = 33
Places = np.ndarray
"""Points of the unit square, points x 2."""


@dataclass(frozen=True)
class Surface:
    """A response whose expectation is known.

    Attributes:
        expected: Places -> expected response.
        deviation: Places -> standard deviation of one trial.
        level: Response at the boundary.
    """

    expected: Callable[[Places], np.ndarray]
    deviation: Callable[[Places], np.ndarray]
    level: float = 0.5

    def draw(self, places: Places, random: np.random.Generator) -> np.ndarray:
        """Return one trial's response at each place."""
        return self.expected(places) + self.deviation(places) * random.standard_normal(len(places))

    def above(self, places: Places) -> np.ndarray:
        """Return on which side of the level each place is."""
        return self.expected(places) > self.level


def _plateaus(distance: np.ndarray, width: float) -> np.ndarray:
    """Return 0.1 far outside and 0.9 far inside of a boundary whose transition is so wide."""
    return 0.1 + 0.4 * (1 + np.tanh(distance / (2 * width)))


def _diagonal(at: Places) -> np.ndarray:
    return 1.05 - at[:, 0] - 0.9 * at[:, 1]


def _curve(at: Places) -> np.ndarray:
    return at[:, 1] - 0.2 - 0.6 * at[:, 0] ** 2 - 0.1 * np.sin(7 * at[:, 0])


def _island(at: Places) -> np.ndarray:
    return 0.22 - np.hypot((at[:, 0] - 0.62) / 1.3, at[:, 1] - 0.4)


def _cliff(at: Places) -> np.ndarray:
    return 0.6 - at[:, 0] - 0.1 * np.sin(9 * at[:, 1])


def _everywhere(deviation: float) -> Callable[[Places], np.ndarray]:
    return lambda at: np.full(len(at), deviation)


SURFACES = {
    # Stable below a product of step length and interval; trials near the edge go either way.
    "sharp diagonal": Surface(
        lambda at: _plateaus(_diagonal(at), 0.01), lambda at: 0.03 + 0.15 * np.exp(-((_diagonal(at) / 0.05) ** 2))
    ),
    "cliff, bistable edge": Surface(
        lambda at: _plateaus(_cliff(at), 0.01), lambda at: 0.03 + 0.3 * np.exp(-((_cliff(at) / 0.05) ** 2))
    ),
    "curve": Surface(lambda at: _plateaus(_curve(at), 0.08), _everywhere(0.05)),
    "island": Surface(lambda at: _plateaus(_island(at), 0.03), _everywhere(0.08)),
    "gentle slope": Surface(
        lambda at: 0.2 + 0.5 * at[:, 0] + 0.3 * np.sin(3 * at[:, 1]) * at[:, 0], _everywhere(0.1), level=0.55
    ),
    "two phases": Surface(lambda at: np.where(_diagonal(at) > 0, 0.9, 0.1), _everywhere(0.01)),
}

PLACES: Places = np.stack(np.meshgrid(*[np.linspace(0, 1, SIDE)] * 2, indexing="ij"), axis=-1).reshape(-1, 2)
OVER = {
    "rate": tuple(float(value) for value in np.geomspace(1e-3, 1, SIDE)),
    "width": tuple(range(1, SIDE + 1)),
}


def place(knobs: ToyKnobs) -> int:
    """Return the number of the knobs' cell."""
    column = min(range(SIDE), key=lambda at: abs(math.log(OVER["rate"][at] / knobs.rate)))
    return column * SIDE + knobs.width - 1


def replicates(surface: Surface, seeds: int, random: int) -> np.ndarray:
    """Return the responses of the dense grid, cells x seeds."""
    generator = np.random.default_rng(random)
    return np.stack([surface.draw(PLACES, generator) for _ in range(seeds)], axis=1)


def planned(surface: Surface, responses: np.ndarray, trials: int, **settings: Any) -> BoundaryPlanner:
    """Return a planner that has spent its trials on a surface."""
    sought = BoundarySettings(
        **{"response": "final_score", "level": surface.level, "over": OVER, "trials": trials, **settings}
    )
    seeds = range(responses.shape[1])
    planner = BoundaryPlanner(knobs=ToyKnobs, cells=[{}], fixed={}, seeds=seeds, settings=sought)
    while not planner.finished:
        for knobs in planner.ask(16 * len(seeds)):
            assert isinstance(knobs, ToyKnobs)
            response = float(responses[place(knobs), knobs.seed])
            planner.tell(knobs, {"outcome": "finished", "final_score": response})
    return planner


def share_misclassified(above: np.ndarray, surface: Surface) -> float:
    """Return the share of the square's cells that lie on the other side than is said."""
    return float(np.mean(above.ravel() != surface.above(PLACES)))
