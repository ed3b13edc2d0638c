"""The boundary of rare views, found by the planner and read off the dense grid, at equal seeds.

Both ways may use three seeds a cell; six others say which side of the boundary a cell is on. Every group of three among
the nine seeds takes its turn. Without a store the setting is one that trains in a minute; with the root of one it is
that of the space `boundary`, whose trials are read from there:

    python -m raysweep.multi_view space=boundary_dense results=ROOT
    python tests/benchmarks/bench_multi_view_boundary.py ROOT [FIGURE]

Trials that the store lacks are trained here. The figure is of the first turn.
"""

from __future__ import annotations

import statistics
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import pandas as pd
import torch

from analysis.core.figures import style
from analysis.multi_view.feature_scores import LABELS, NOISE, RARE, SHARE
from tests.search_spaces.multi_view.boundary_comparison import draw_comparison
from tests.search_spaces.multi_view.rare_views import (
    EASIER,
    Comparison,
    compared,
    dense_trials,
    planner,
    stored,
    trained,
)

SEEDS, AT_ONCE = range(9), 3


def main() -> None:
    """Print a line for each turn, and draw the first."""
    torch.set_num_threads(1)
    root, figure = (*sys.argv[1:], "", "")[:2]
    overrides = [] if root else EASIER
    trials = [knobs for of_cell in dense_trials(SEEDS, overrides) for knobs in of_cell]
    accuracies = stored(root, trials) if root else trained(trials)
    print(f"{'seeds':>6} {'dense trials':>13} {'wrong':>6} {'planner trials':>15} {'wrong':>6} {'ratio':>6}")
    turns = []
    for first in range(0, len(SEEDS) - AT_ONCE + 1, AT_ONCE):
        seeds = range(first, first + AT_ONCE)
        found = compared(accuracies, seeds, [seed for seed in SEEDS if seed not in seeds], overrides)
        turns.append(found)
        dense, planned = found.dense.size * AT_ONCE, found.planned_trials.sum()
        line = f"{dense:13} {found.dense_wrong:6.1%} {planned:15} {found.planned_wrong:6.1%} {planned / dense:6.3f}"
        print(f"{seeds[0]:>4}-{seeds[-1]} {line}", flush=True)
    means = [statistics.mean(shares) for shares in zip(*((t.dense_wrong, t.planned_wrong) for t in turns), strict=True)]
    print(f"{'mean':>6} {'':13} {means[0]:6.1%} {'':15} {means[1]:6.1%}")
    if figure:
        _draw(turns[0], overrides, figure)


def _draw(found: Comparison, overrides: list[str], place: str) -> None:
    over = planner([0], overrides).settings.over
    corners = pd.MultiIndex.from_product(over.values(), names=list(over)).to_frame(index=False)
    cells = corners.assign(truth=found.truth.ravel(), diverged=0)
    dense = cells.assign(above=found.dense.ravel(), mean=found.dense_means.ravel(), seeds=AT_ONCE)
    planned = {"mean": found.planned_means.ravel(), "seeds": found.planned_trials.ravel().astype(float)}
    ways = {"dense grid": dense, "planner": cells.assign(above=found.planned.ravel(), **planned)}
    further = len(SEEDS) - AT_ONCE
    title = f"boundary of rare views from seeds 0 to {AT_ONCE - 1}; true is the mean of {further} other seeds"
    with style():
        drawing = draw_comparison(ways, NOISE, SHARE, {**LABELS, "mean": f"mean {LABELS[RARE]}"}, title)
        drawing.figure.savefig(place, dpi=110)


if __name__ == "__main__":
    main()
