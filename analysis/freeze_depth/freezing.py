"""Freeze depths compared: each at its own best learning rate, and the signature of what pretraining did."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import pandas as pd

from analysis.core.panels import knob_names
from analysis.core.seed_means import seed_means
from analysis.freeze_depth.published_fine_tuning import DEPTHS

TASK, DEPTH, RATE, SEED = "task", "freeze_depth", "learning_rate", "seed"
FOREGROUND, BACKGROUND = "foreground", "background"
_GAINS = (FOREGROUND, BACKGROUND)
RULES: Mapping[str, str] = MappingProxyType(
    {"selected": "chosen on validation images", "leaked": "chosen on test groups, as was published"}
)
"""Rule of selection -> what it is called in figures."""
INTERVALS = "means of seeds; bands: 95 % intervals of 3 seeds and more"


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
    """Return the gains over full fine-tuning by depth, with intervals: what pretraining did to either task.

    Columns are `d_foreground` and `d_background`, each with its `_half_width` (Student's, of 95 %; none with one seed),
    and how many `seeds` have both. Means are over the seeds that have all four numbers, so that a seed is compared with
    itself.

    Args:
        chosen: Trials of one arm, as `at_best_rates` returns them.
        response: Column of the accuracy.
    """
    table = chosen.pivot_table(index=[DEPTH, SEED], columns=TASK, values=response)
    if not {FOREGROUND, BACKGROUND} <= set(table.columns) or 0 not in table.index.get_level_values(DEPTH):
        return pd.DataFrame(columns=[DEPTH, *(f"d_{task}" for task in _GAINS), "seeds"])
    gains = (table - table.loc[0].reindex(table.index, level=SEED)).dropna().reset_index()
    means = {task: seed_means(gains[gains[DEPTH] > 0], [DEPTH], task).set_index(DEPTH) for task in _GAINS}
    columns = {f"d_{task}": of_task["mean"] for task, of_task in means.items()}
    columns |= {f"d_{task}_half_width": of_task["half_width"] for task, of_task in means.items()}
    return pd.DataFrame({**columns, "seeds": means[FOREGROUND]["seeds"]}).reset_index()


def published_signature() -> pd.DataFrame:
    """Return the published gains over full fine-tuning by depth."""
    whole = DEPTHS.iloc[0]
    return DEPTHS.iloc[1:].assign(
        d_foreground=lambda rows: rows[FOREGROUND] - whole[FOREGROUND],
        d_background=lambda rows: rows[BACKGROUND] - whole[BACKGROUND],
    )
