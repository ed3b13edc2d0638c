"""Freeze depths compared: each at its own best learning rate, and the signature of what pretraining did."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import pandas as pd

from analysis.core.panels import knob_names

TASK, DEPTH, RATE, SEED = "task", "freeze_depth", "learning_rate", "seed"
FOREGROUND, BACKGROUND = "foreground", "background"
RULES: Mapping[str, str] = MappingProxyType(
    {"selected": "chosen on validation images", "leaked": "chosen on test groups, as was published"}
)
"""Rule of selection -> what it is called in figures."""

# Worst-group accuracy of CLIP ViT-B/16 on Waterbirds, from the slides by R. Shen with S. Bubeck, S. Gunasekar and
# A. Kumar; frozen are 0 = nothing, 1 = the embedding, 1 + m = the first m of 12 blocks as well.
PUBLISHED = pd.DataFrame(
    {
        DEPTH: [0, 1, 4, 7, 10, 13],
        FOREGROUND: [0.6199, 0.7404, 0.7394, 0.7601, 0.7279, 0.7466],
        BACKGROUND: [0.8896, 0.8878, 0.8785, 0.8915, 0.8912, 0.8894],
    }
)


def worst(rule: str) -> str:
    """Return the column of worst-group accuracy at the epoch that a rule selects."""
    return f"final_{rule}_test_worst_group_acc"


def at_best_rates(trials: pd.DataFrame, rule: str) -> pd.DataFrame:
    """Return the trials at the learning rate that a rule selects for each setting of the other knobs.

    A rate counts by the mean over its seeds, and only if it has as many seeds as any other. `at_edge` says where the
    selected rate is the smallest or the largest of several: the best may lie beyond.

    Args:
        trials: Finished trials.
        rule: One of `RULES`.
    """
    arms = [name for name in knob_names(trials) if name not in (SEED, RATE) and trials[name].nunique() > 1]
    arms = list(dict.fromkeys([TASK, DEPTH, *arms]))
    chosen = []
    for _, arm in trials.groupby(arms, dropna=False):
        scores = arm.groupby(RATE)[f"final_{rule}_score"].agg(["mean", "count"])
        whole = scores[scores["count"] == scores["count"].max()]
        best = whole["mean"].idxmax()
        edge = len(scores) > 1 and best in (scores.index.min(), scores.index.max())
        chosen.append(arm[arm[RATE] == best].assign(at_edge=edge))
    return pd.concat(chosen, ignore_index=True)


def signatures(chosen: pd.DataFrame, response: str) -> pd.DataFrame:
    """Return the gains over full fine-tuning by depth: `d_foreground`, `d_background` and how many `seeds` have both.

    Means are over the seeds that have all four numbers, so that a seed is compared with itself.

    Args:
        chosen: Trials of one arm, as `at_best_rates` returns them.
        response: Column of the accuracy.
    """
    table = chosen.pivot_table(index=[DEPTH, SEED], columns=TASK, values=response)
    if not {FOREGROUND, BACKGROUND} <= set(table.columns) or 0 not in table.index.get_level_values(DEPTH):
        return pd.DataFrame(columns=[DEPTH, "d_foreground", "d_background", "seeds"])
    gains = (table - table.loc[0].reindex(table.index, level=SEED)).dropna()
    by_depth = gains[gains.index.get_level_values(DEPTH) > 0].groupby(level=DEPTH)
    return pd.DataFrame(
        {
            "d_foreground": by_depth[FOREGROUND].mean(),
            "d_background": by_depth[BACKGROUND].mean(),
            "seeds": by_depth[FOREGROUND].count(),
        }
    ).reset_index()


def published_signature() -> pd.DataFrame:
    """Return the published gains over full fine-tuning by depth."""
    whole = PUBLISHED.iloc[0]
    return PUBLISHED.iloc[1:].assign(
        d_foreground=lambda rows: rows[FOREGROUND] - whole[FOREGROUND],
        d_background=lambda rows: rows[BACKGROUND] - whole[BACKGROUND],
    )
