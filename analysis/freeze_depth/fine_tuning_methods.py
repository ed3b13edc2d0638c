"""Worst groups by learning rate and by rule of the step, the published ones beside."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import pandas as pd
from matplotlib.axes import Axes

from analysis.core.curves import SHARE, draw_interval_band, interval_lengths
from analysis.core.figures import COLOURS, Drawing, Look, ordered_looks
from analysis.core.numbers import shown_number
from analysis.core.pages import axes_grid, titled
from analysis.core.panels import panels, subject
from analysis.core.seed_means import seed_means
from analysis.freeze_depth.freezing import DEPTH, FOREGROUND, INTERVALS, RATE, TASK, at_best_rates, worst
from analysis.freeze_depth.published_fine_tuning import METHODS, RATES

_WORST, _SHOWN = "worst-group accuracy", (-0.02, 1.02)
_RULE, _DECAY = "optimizer", "weight_decay"
_THEIRS = "published: CLIP, Waterbirds, foreground"


def by_rate(trials: pd.DataFrame, inside: Collection[str], names: Collection[str]) -> Drawing | None:
    """Return the worst group over the learning rate, a line each depth; None unless several rates were tried.

    Args:
        trials: Finished trials.
        inside: Knobs that make no panels.
        names: Knobs to be named in the title.
    """
    rich = trials[trials.groupby([TASK, DEPTH])[RATE].transform("nunique") > 1]
    if not len(rich):
        return None
    response = worst("selected")
    found = panels(rich, rich, inside=set(inside) - {TASK}, across=[TASK])
    rows, columns = found.shape
    title = subject(rich, found, tuple(names), INTERVALS)
    figure, grid = axes_grid(rows, columns + 1, size=(3.4, 2.9), title=title)
    looks, numbers = ordered_looks({*rich[DEPTH], *RATES[DEPTH]}), []
    for panel, axes in titled(found, grid[:, :columns]):
        numbers.append(_draw_rates(axes, panel.trials, response, looks))
    for axes in grid[:, columns]:
        axes.set_visible(False)
    grid[0, columns].set_visible(True)
    grid[0, columns].set_title(_THEIRS, fontsize=8)
    _draw_rates(grid[0, columns], RATES, "worst_group", looks)
    for axes in grid.flat:
        axes.set(xlabel="learning rate", ylabel=_WORST, ylim=_SHOWN)
    return Drawing(figure, found.numbered(numbers), "by_rate")


def _draw_rates(axes: Axes, trials: pd.DataFrame, response: str, looks: Mapping[float, Look]) -> pd.DataFrame:
    bands = []
    for depth in sorted(trials[DEPTH].unique()):
        means = seed_means(trials[trials[DEPTH] == depth], [RATE], response)
        label = f"{depth or 'nothing'} frozen"
        draw_interval_band(axes, means, RATE, look=looks[depth], label=label, within=SHARE)
        bands.append(means.assign(**{DEPTH: depth}))
    axes.set_xscale("log")
    axes.legend(fontsize=7)
    return pd.concat(bands, ignore_index=True)


def methods(trials: pd.DataFrame, inside: Collection[str], names: Collection[str]) -> Drawing | None:
    """Return the worst group of the foreground by rule of the step and depth, each at its best rate.

    None unless several rules were tried.

    Args:
        trials: Finished trials.
        inside: Knobs that make no panels.
        names: Knobs to be named in the title.
    """
    tried = trials[trials[TASK] == FOREGROUND]
    if tried.groupby([_RULE, _DECAY]).ngroups < 2:
        return None
    chosen = at_best_rates(tried, "selected")
    chosen = chosen.assign(method=[_named(*of) for of in chosen[[_RULE, _DECAY, DEPTH]].itertuples(index=False)])
    found = panels(chosen, chosen, inside={*inside, _RULE, _DECAY, "method", "at_edge"}, across=())
    remarks = "each at its best learning rate", "means of seeds with 95 % intervals, of the published with deviations"
    title = subject(tried, found, tuple(names), *remarks)
    figure, grid = axes_grid(len(found.shown), 2, size=(4.6, 3.0), title=title)
    numbers = []
    for panel, axes in titled(found, grid[:, :1]):
        means = seed_means(panel.trials, ["method", RATE], worst("selected"))
        numbers.append(means)
        _draw_methods(axes, means, COLOURS[0])
    for axes in grid[1:, 1]:
        axes.set_visible(False)
    grid[0, 1].set_title(_THEIRS, fontsize=8)
    theirs = METHODS.rename(columns={"worst_group": "mean", "worst_group_deviation": "half_width"})
    _draw_methods(grid[0, 1], theirs, "black")
    return Drawing(figure, found.numbered(numbers), "methods")


def _named(rule: str, decay: float, depth: int) -> str:
    decays = f", weight decay {shown_number(decay)}" if decay else ""
    return f"{rule.replace('_', ' ')}{decays}, {depth or 'nothing'} frozen"


def _draw_methods(axes: Axes, means: pd.DataFrame, colour: str) -> None:
    places = range(len(means))[::-1]
    axes.errorbar(
        means["mean"], places, xerr=interval_lengths(means, SHARE), fmt="o", color=colour, markersize=4, capsize=2
    )
    axes.set_yticks(places, means["method"], fontsize=7)
    axes.set(xlabel=_WORST, xlim=_SHOWN)
