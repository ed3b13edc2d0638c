"""How figures show what of a network is frozen: the published accuracies, and curves over depths and over layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import pandas as pd
from matplotlib.axes import Axes

from analysis.core.curves import SHARE, interval_lengths
from analysis.core.figures import Look, looks
from analysis.core.seed_means import seed_means

DEPTH = "freeze_depth"
FROZEN = ("nothing", "conv", "conv,\nblock 1", "conv,\nblocks 1-2", "conv,\nblocks 1-3")


_BESIDE = 0.4  # of the distance of two depths


class Published(NamedTuple):
    """A published accuracy on images without the feature, with its +- as published."""

    accuracy: float
    deviation: float


PUBLISHED: Mapping[int, Published] = MappingProxyType(
    {
        0: Published(0.5287, 0.0155),
        2: Published(0.5463, 0.0107),
        3: Published(0.6837, 0.0067),
        4: Published(0.849, 0.0046),
    }
)


def draw_depths(axes: Axes, trials: pd.DataFrame, response: str) -> pd.DataFrame:
    """Draw means and intervals against what is frozen, a line for each variant, and return them."""
    drawn = []
    for variant, (colour, marker) in looks(sorted(trials["variant"].unique())).items():
        own = trials[trials["variant"] == variant]
        means = seed_means(own, [DEPTH], response)
        line: dict[str, Any] = {"color": colour, "marker": marker, "markersize": 4, "capsize": 2, "linewidth": 1.3}
        axes.errorbar(means[DEPTH], means["mean"], interval_lengths(means, SHARE), label=variant or "measured", **line)
        axes.plot(own[DEPTH], own[response], ".", color=colour, alpha=0.35, markersize=3)
        drawn.append(means.assign(variant=variant))
    name_depths(axes, range(len(FROZEN)), places=range(len(FROZEN)))
    axes.set_xlim(-_BESIDE, len(FROZEN) - 1 + _BESIDE)
    table = pd.concat(drawn, ignore_index=True)
    for depth in sorted(set(trials[DEPTH]) - set(table[DEPTH])):
        axes.text(
            depth, 0.1, "not reached", transform=axes.get_xaxis_transform(), ha="center", fontsize=7, color="#555555"
        )
    return table


def draw_published(axes: Axes) -> None:
    """Draw the published accuracies with their +- as published."""
    values = list(PUBLISHED.values())
    look: dict[str, Any] = {"fmt": "D", "color": "black", "markerfacecolor": "white", "markersize": 5, "capsize": 2}
    spread = [value.deviation for value in values]
    axes.errorbar(list(PUBLISHED), [value.accuracy for value in values], spread, label="published", **look)


def name_depths(axes: Axes, depths: Sequence[float], places: Sequence[int] | None = None) -> None:
    """Say below the axis what is frozen at each depth, at `places` or side by side."""
    at = range(len(depths)) if places is None else places
    axes.set_xticks(at, [FROZEN[int(depth)] for depth in depths], fontsize=7)


def draw_columns(axes: Axes, trials: pd.DataFrame, prefix: str, look: Look, label: str) -> pd.DataFrame:
    """Draw the mean and interval of each column that begins with a prefix, side by side, and return them."""
    columns = [name for name in map(str, trials.columns) if name.startswith(prefix)]
    long = trials.melt(value_vars=columns, var_name="column", value_name="value")
    means = seed_means(long, ["column"], "value").set_index("column").reindex(columns).dropna(subset=["mean"])
    at = [columns.index(column) for column in means.index]
    axes.errorbar(
        at,
        means["mean"],
        means["half_width"],
        color=look.colour,
        marker=look.marker,
        markersize=4,
        capsize=2,
        label=label,
    )
    names: tuple[str, ...] = (
        ("input", "conv", "block 1", "block 2", "block 3")
        if "depth" in prefix
        else ("conv", "block 1", "block 2", "block 3", "head")
    )
    axes.set_xticks(range(len(columns)), names[: len(columns)], fontsize=7)
    return means.reset_index()
