"""Figures of the freeze depth: worst groups of both tasks over the depth, and what that says of pretraining.

Depths are compared each at its own best learning rate. Each figure is left out where the trials do not carry it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from analysis.core.curves import SHARE, draw_interval_band, line_entry
from analysis.core.figures import Drawing, Look, looks, ordered_looks
from analysis.core.numbers import shown_numbers
from analysis.core.pages import axes_grid, titled
from analysis.core.panels import described, panels, subject
from analysis.core.phase_diagram import common_range, draw_phase_diagram, legend_entries, phase_cells
from analysis.core.seed_means import seed_means
from analysis.core.study_figures import carried, finished_trials
from analysis.freeze_depth.fine_tuning_methods import by_rate as rate_lines
from analysis.freeze_depth.fine_tuning_methods import methods as method_points
from analysis.freeze_depth.freezing import (
    BACKGROUND,
    DEPTH,
    FOREGROUND,
    INTERVALS,
    RATE,
    RULES,
    TASK,
    at_best_rates,
    published_signature,
    signatures,
    worst,
)
from analysis.freeze_depth.published_fine_tuning import DEPTHS
from analysis.store.results import Results

STUDY = "freeze_depth"
OURS, THEIRS = RULES
PRETRAINING, STRENGTH = "pretrain_task", "data_confounder_strength"
_TASK_LOOKS: Mapping[str, Look] = MappingProxyType(looks((FOREGROUND, BACKGROUND)))
_SUBJECT = ("data_name", "network", PRETRAINING, STRENGTH)
_INSIDE = (TASK, DEPTH, RATE, "seed")
_WORST = "worst-group accuracy"
_FROZEN = "frozen parts"
_ROOM = 0.12  # about the points of the signature


def draw(results: Results) -> Sequence[Drawing]:
    """Return every figure that the stored trials carry."""
    return carried(FIGURES, finished_trials(results, STUDY))


def depths(trials: pd.DataFrame) -> Drawing:
    """Return the worst group of both tasks over the frozen depth, by both rules of selection, the published beside."""
    chosen = {rule: at_best_rates(trials, rule) for rule in RULES}
    found = panels(trials, trials, inside=_inside(trials), across=[PRETRAINING, STRENGTH])
    rows, columns = found.shape
    entries = [line_entry(look, task) for task, look in _TASK_LOOKS.items()]
    entries += [Line2D([], [], color="#555555", linestyle=line, label=RULES[rule]) for rule, line in _LINES.items()]
    if any(of["at_edge"].any() for of in chosen.values()):
        entries.append(Line2D([], [], label="best learning rate at the edge of the sweep", **_AT_EDGE))
    swept = trials.groupby([TASK, DEPTH, PRETRAINING])[RATE].nunique().max() > 1
    remarks = ["each depth at its best learning rate"] * bool(swept)
    title = subject(trials, found, _SUBJECT, *remarks, INTERVALS)
    figure, grid = axes_grid(rows, columns + 1, size=(3.2, 2.9), title=title)
    numbers = []
    for panel, axes in titled(found, grid[:, :columns]):
        inside = {rule: of[of["trial_id"].isin(panel.trials["trial_id"])] for rule, of in chosen.items()}
        numbers.append(_draw_depths(axes, inside))
    for axes in grid[:, columns]:
        axes.set_visible(False)
    _draw_published(grid[0, columns])
    for axes in grid.flat:
        axes.set(xlabel=_FROZEN, ylabel=_WORST, ylim=(-0.02, 1.02))
    figure.legend(handles=entries, loc="outside lower center", ncols=2)
    return Drawing(figure, found.numbered(numbers))


def _inside(trials: pd.DataFrame) -> tuple[str, ...]:
    """Return the knobs that make no panels: the figures' own, and epochs where each depth has a number of its own."""
    linked = trials.groupby(DEPTH)["epochs"].nunique().max() == 1
    return (*_INSIDE, "epochs") if linked else _INSIDE


_LINES: Mapping[str, Any] = MappingProxyType({OURS: "-", THEIRS: ":"})
_AT_EDGE: Mapping[str, Any] = MappingProxyType(
    {"marker": "o", "markersize": 7, "markerfacecolor": "none", "markeredgecolor": "#555555", "linestyle": "none"}
)


def _draw_depths(axes: Axes, chosen: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    drawn = []
    for rule, trials in chosen.items():
        for task, of_task in trials.groupby(TASK):
            band = seed_means(of_task, [DEPTH], worst(rule))
            draw_interval_band(axes, band, DEPTH, look=_TASK_LOOKS[str(task)], linestyle=_LINES[rule], within=SHARE)
            rates = of_task.groupby(DEPTH)[[RATE, "at_edge"]].first()
            band = band.join(rates, on=DEPTH)
            edge = band[band["at_edge"]]
            axes.plot(edge[DEPTH], edge["mean"], **_AT_EDGE)
            drawn.append(band.assign(rule=rule, task=task))
    axes.set_xticks(sorted({depth for trials in chosen.values() for depth in trials[DEPTH]}))
    return pd.concat(drawn, ignore_index=True)


def _draw_published(axes: Axes) -> None:
    for task, (colour, marker) in _TASK_LOOKS.items():
        axes.plot(DEPTHS[DEPTH], DEPTHS[task], marker, linestyle=":", color=colour, markersize=4)
    axes.set_visible(True)
    axes.set_title("published: CLIP, Waterbirds")
    axes.set_xticks(DEPTHS[DEPTH])


def signature(trials: pd.DataFrame) -> Drawing | None:
    """Return the gains over full fine-tuning on both tasks, a point each depth, with the published ones."""
    chosen = at_best_rates(trials, OURS)
    found = panels(trials, trials, inside=_inside(trials), across=())
    title = subject(trials, found, _SUBJECT, "numbers: frozen parts; bars: 95 % intervals of 3 seeds and more")
    figure, grid = axes_grid(1, 1, size=(5.4, 4.4), title=title)
    axes, numbers = grid[0, 0], []
    for panel, look in zip(found.shown, looks(range(len(found.shown))).values(), strict=True):
        gains = signatures(chosen[chosen["trial_id"].isin(panel.trials["trial_id"])], worst(OURS))
        if len(gains):
            _draw_gains(axes, gains, look=look, label=panel.title or "here")
            numbers.append(gains.assign(**panel.setting))
    if not numbers:
        return None
    theirs = published_signature()
    axes.plot(theirs["d_background"], theirs["d_foreground"], "ks", markersize=3, label="published: CLIP, Waterbirds")
    for draw_line in (axes.axhline, axes.axvline):
        draw_line(0, color="#999999", linewidth=0.8)
    axes.text(0.02, 0.98, "projects the background out", transform=axes.transAxes, va="top", color="#777777")
    axes.text(0.98, 0.98, "removes noise", transform=axes.transAxes, va="top", ha="right", color="#777777")
    axes.set(xlabel="gain over full fine-tuning, background", ylabel="gain over full fine-tuning, foreground")
    # Points are to be seen whole, wide bars need not be.
    for name, limit in (("d_background", axes.set_xlim), ("d_foreground", axes.set_ylim)):
        values = pd.concat([*(of[name] for of in numbers), theirs[name]])
        limit(values.min() - _ROOM, values.max() + _ROOM)
    axes.legend(fontsize=7, loc="lower left")
    return Drawing(figure, pd.concat(numbers, ignore_index=True), "signature")


def _draw_gains(axes: Axes, gains: pd.DataFrame, *, look: Look, label: str) -> None:
    places = gains["d_background"], gains["d_foreground"]
    # Two seeds have intervals many times as wide as the figure.
    widths = [gains[f"{place.name}_half_width"].where(gains["seeds"] > 2, 0.0) for place in places]
    line: Mapping[str, Any] = {
        "fmt": f"{look.marker}-",
        "linewidth": 0.6,
        "elinewidth": 0.6,
        "capsize": 2,
        "markersize": 5,
    }
    axes.errorbar(*places, xerr=widths[0], yerr=widths[1], color=look.colour, label=label, **line)
    for depth, across, up in zip(gains[DEPTH], *places, strict=True):
        axes.annotate(
            f"{depth:g}", (across, up), xytext=(4, 3), textcoords="offset points", fontsize=7, color=look.colour
        )


def learning_rates(trials: pd.DataFrame) -> Drawing | None:
    """Return the worst group over depth and learning rate, a panel each task and setting."""
    rich = trials[trials[RATE].groupby([trials[TASK], trials[DEPTH]]).transform("nunique") > 1]
    if rich[RATE].nunique() < 2 or rich[DEPTH].nunique() < 2:
        return None
    places = {depth: 2.0**place for place, depth in enumerate(sorted(rich[DEPTH].unique()))}
    rich = rich.assign(row=rich[DEPTH].map(places))  # on a logarithmic axis, which has no 0, rows of one height
    found = panels(rich, rich, inside={*_inside(rich), "row"} - {TASK}, across=[TASK])
    cells = [phase_cells(panel.rows, panel.trials, RATE, "row", worst(OURS)) for panel in found.shown]
    shown = common_range(cells)
    labels = {place: f"{depth}" for depth, place in places.items()}
    figure, grid = axes_grid(
        *found.shape, title=subject(rich, found, _SUBJECT), legend=legend_entries(pd.concat(cells))
    )
    for (_, axes), of_panel in zip(titled(found, grid), cells, strict=True):
        mesh = draw_phase_diagram(axes, of_panel, RATE, "row", shown=shown, labels=labels)
        axes.set(xlabel="learning rate", ylabel=_FROZEN)
    figure.colorbar(mesh, ax=list(grid.flat), label=_WORST)
    return Drawing(figure, found.numbered(cells), "learning_rates")


def poles(trials: pd.DataFrame) -> Drawing | None:
    """Return the worst group over the depth, a line each pretraining."""
    if trials[PRETRAINING].nunique() < 2:
        return None
    return _lines(trials, DEPTH, PRETRAINING, _FROZEN, "poles")


def confounder(trials: pd.DataFrame) -> Drawing | None:
    """Return the worst group over the confounder's strength, a line each depth."""
    if trials[STRENGTH].nunique() < 2:
        return None
    return _lines(trials, STRENGTH, DEPTH, "share of a class in its own place", "confounder")


def _lines(trials: pd.DataFrame, across: str, by: str, label: str, name: str) -> Drawing:
    """Return a figure with the worst group over `across`, a line each value of `by`, a panel each task and setting."""
    chosen = at_best_rates(trials, OURS)
    found = panels(trials, trials, inside={*_inside(trials), across, by} - {TASK}, across=[TASK])
    title = subject(trials, found, (TASK, *_SUBJECT), RULES[OURS], INTERVALS)
    figure, grid = axes_grid(*found.shape, size=(3.6, 3.2), title=title)
    values, numbers = sorted(chosen[by].unique()), []
    look_of = ordered_looks(values) if by == DEPTH else looks(values)
    for panel, axes in titled(found, grid):
        drawn = []
        of_panel = chosen[chosen["trial_id"].isin(panel.trials["trial_id"])]
        for value in sorted(of_panel[by].unique()):
            band = seed_means(of_panel[of_panel[by] == value], [across], worst(OURS))
            draw_interval_band(axes, band, across, look=look_of[value], label=described({by: value}), within=SHARE)
            drawn.append(band.assign(**{by: value}))
        numbers.append(pd.concat(drawn, ignore_index=True))
        axes.set(xlabel=label, ylabel=_WORST, ylim=(-0.02, 1.02))
        ticks = np.sort(chosen[across].unique())
        axes.set_xticks(ticks, list(shown_numbers(ticks).values()))
        axes.legend(fontsize=7)
    return Drawing(figure, found.numbered(numbers), name)


def by_rate(trials: pd.DataFrame) -> Drawing | None:
    """Return the worst group over the learning rate, a line each depth, beside the published one."""
    return rate_lines(trials, _inside(trials), _SUBJECT)


def methods(trials: pd.DataFrame) -> Drawing | None:
    """Return the worst group by rule of the step, beside the published table of methods."""
    return method_points(trials, _inside(trials), _SUBJECT)


# The first is the study's main figure.
FIGURES = (depths, signature, learning_rates, by_rate, methods, poles, confounder)
