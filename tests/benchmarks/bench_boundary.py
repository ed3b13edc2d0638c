"""The boundary planner beside the dense grid, and beside adaptive's Learner2D at the same number of trials.

A dense grid of 33 x 33 cells with 3 seeds is classified by the mean over its seeds. The planner may run the same
trials, a quarter of them, and an eighth. Learner2D, which knows of no noise, chooses a quarter as many points of the
square, one trial at each, and what it interpolates between them is classified. All are compared with the surface's
expectation.

- misclassified: share of the cells on the wrong side of the level;
- distance: mean distance between the boundary that is found and the true one, both ways, in cells of the dense grid.

Run: python tests/benchmarks/bench_boundary.py [repeats]
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import numpy as np
from scipy.spatial.distance import cdist

from search_spaces.core.diagram import neighbours
from tests.search_spaces.core.surfaces import (
    PLACES,
    SIDE,
    SURFACES,
    Surface,
    planned,
    replicates,
    share_misclassified,
)

SEEDS = 3
REPEATS = 2
DENSE = len(PLACES) * SEEDS
BUDGET = DENSE // 4


def main() -> None:
    """Print a line for each surface and method."""
    repeats = int(sys.argv[1]) if len(sys.argv) > 1 else REPEATS
    print(f"{SIDE} x {SIDE} cells, {SEEDS} seeds, means of {repeats} repeats; dense {DENSE} trials, 1/4 {BUDGET}")
    print(f"{'surface':20} {'method':12} {'misclassified':>14} {'over dense':>11} {'distance':>9} {'seconds':>8}")
    for name, surface in SURFACES.items():
        results = {method: _mean(run, surface, repeats) for method, run in METHODS.items()}
        for method, (misclassified, distance, seconds) in results.items():
            ratio = misclassified / max(results["dense grid"][0], 1 / len(PLACES))
            line = f"{misclassified:14.2%} {ratio:11.2f} {distance:9.2f} {seconds:8.1f}"
            print(f"{name:20} {method:12} {line}", flush=True)


def _mean(run: Callable[[Surface, int], np.ndarray | None], surface: Surface, repeats: int) -> tuple[float, ...]:
    found = []
    for repeat in range(repeats):
        started = time.perf_counter()
        above = run(surface, repeat)
        if above is None:
            return (float("nan"),) * 3
        seconds = time.perf_counter() - started
        found.append((share_misclassified(above, surface), _distance(above, surface.above(PLACES)), seconds))
    return tuple(float(value) for value in np.mean(found, axis=0))


def _dense(surface: Surface, repeat: int) -> np.ndarray:
    return replicates(surface, SEEDS, repeat).mean(axis=1) > surface.level


def _planner(surface: Surface, repeat: int, trials: int = BUDGET) -> np.ndarray:
    (found,) = planned(surface, replicates(surface, SEEDS, repeat), trials).boundaries()
    return found.above.ravel()


def _learner(surface: Surface, repeat: int) -> np.ndarray | None:
    try:
        from adaptive import Learner2D
    except ImportError:
        return None
    random = np.random.default_rng(repeat)
    learner = Learner2D(None, bounds=[(0, 1), (0, 1)])
    while learner.npoints < BUDGET:
        points, _ = learner.ask(min(16 * SEEDS, BUDGET - learner.npoints))
        for point, response in zip(points, surface.draw(np.array(points), random), strict=True):
            learner.tell(point, float(response))
    return learner.interpolator(scaled=False)(PLACES).ravel() > surface.level


def _distance(above: np.ndarray, truth: np.ndarray) -> float:
    """Return the mean distance from either boundary to the nearest point of the other, in cells."""
    found, true = _crossings(above), _crossings(truth)
    if not len(found) or not len(true):
        return float("inf")
    distances = cdist(found, true) * (SIDE - 1)
    return float((distances.min(axis=0).mean() + distances.min(axis=1).mean()) / 2)


def _crossings(above: np.ndarray) -> np.ndarray:
    """Return the middles between neighbouring cells on different sides."""
    pairs = [(here[above[here] != above[there]], there[above[here] != above[there]]) for _, here, there in _pairs()]
    return np.concatenate([(PLACES[here] + PLACES[there]) / 2 for here, there in pairs])


def _pairs() -> list[tuple[int, np.ndarray, np.ndarray]]:
    return list(neighbours((SIDE, SIDE)))


METHODS: dict[str, Callable[[Surface, int], np.ndarray | None]] = {
    "dense grid": _dense,
    "planner": _planner,
    "planner, 1/8": partial(_planner, trials=DENSE // 8),
    "Learner2D": _learner,
}

if __name__ == "__main__":
    main()
