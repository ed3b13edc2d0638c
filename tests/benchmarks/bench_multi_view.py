"""Cells a second of the study multi_view: trained in groups, and one at a time.

Both arms train the same cells, in CPU time of one thread, interleaved in one run. Ratios are of the second arm over the
first; a group's rows equal those of its trials alone (a test compares them).

Run: python tests/benchmarks/bench_multi_view.py [repeats]
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import torch

from trials.core.context import TrialContext
from trials.multi_view.knobs import MultiViewKnobs
from trials.multi_view.recipe import run, run_many

REPEATS = 3
SIZES = (8, 32, 64)


def main() -> None:
    """Print a line for each size of group."""
    torch.set_num_threads(1)
    repeats = int(sys.argv[1]) if len(sys.argv) > 1 else REPEATS
    print(f"{'cells':>6} {'together':>14} {'one by one':>14} {'ratio: min':>11} {'median':>7}")
    for size in SIZES:
        cells = _cells(size)
        times = [(_seconds(_together, cells), _seconds(_one_by_one, cells)) for _ in range(repeats)]
        ratios = [alone / several for several, alone in times]
        rates = [size / statistics.median(arm) for arm in zip(*times, strict=True)]
        line = f"{size:6} {rates[0]:10.1f} c/s {rates[1]:10.1f} c/s"
        print(f"{line} {min(ratios):11.1f} {statistics.median(ratios):7.1f}", flush=True)


def _cells(count: int) -> list[MultiViewKnobs]:
    """Return cells around the boundary: sigma from 1.5 to 3.5, five seeds."""
    return [MultiViewKnobs(noise_magnitude=1.5 + 2 * cell / count, seed=cell % 5) for cell in range(count)]


def _together(cells: list[MultiViewKnobs]) -> None:
    for _ in run_many(cells, TrialContext()):
        pass


def _one_by_one(cells: list[MultiViewKnobs]) -> None:
    for cell in cells:
        for _ in run(cell, TrialContext()):
            pass


def _seconds(train: Callable[[list[MultiViewKnobs]], None], cells: list[MultiViewKnobs]) -> float:
    start = time.process_time()
    train(cells)
    return time.process_time() - start


if __name__ == "__main__":
    main()
