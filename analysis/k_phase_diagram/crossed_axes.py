"""The axes of the study that cross: K, the share of distinct samples, frozen parts, damping; two figures a pair.

A pair is drawn where both of its axes have several values, in panels by whatever else varies.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from analysis.core.figures import Drawing
from analysis.core.panels import panels, subject
from analysis.core.seed_means import of_seeds
from analysis.k_phase_diagram.crossing_figures import CrossedAxis, Reading, draw_crossing, draw_effects
from analysis.k_phase_diagram.crossings import (
    Pair,
    everywhere,
    filled_share,
    matched_ends,
    matched_level,
    varying_pairs,
)
from analysis.k_phase_diagram.fits import loss_unit
from analysis.k_phase_diagram.interval_axes import interval_names
from analysis.k_phase_diagram.intervals import INTERVAL, at_the_end, shared_steps

RATIO, DEPTH, DAMPING = "rows_ratio", "freeze_depth", "damping"
ACCURACY, MOVED, LOSS = "test_acc_lin", "ntk_distance", "train_loss_lin"
RESPONSES: Mapping[str, str] = {
    ACCURACY: "test accuracy (linearised)",
    MOVED: "tangent kernel's distance\nfrom initialisation",
}
CROSSED = (RATIO, DEPTH, DAMPING)
_NAMES: Mapping[str, str] = {INTERVAL: "k", RATIO: "ratio", DEPTH: "freeze", DAMPING: "damping"}
_OF_ROWS = ("rows_augmentation", "rows_transform")
_SUBJECT = ("data_name", "network", "optimizer", "learning_rate", "loss", INTERVAL)
_SHARE = 2 / 3  # of the trials: the loss at which they are compared is the lowest that so many reach
_FILLED = 0.5  # of the combinations: a search tries fewer, and is no grid


def at_every_damping(trials: pd.DataFrame, rows: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return trials and rows in which plain training, which no damping touches, stands at every damping."""
    return everywhere(trials, rows, trials[INTERVAL] == 1, DAMPING)


def crossings(trials: pd.DataFrame, rows: pd.DataFrame) -> Sequence[Drawing]:
    """Return the phase diagram and the effects of every pair of axes that vary."""
    if RATIO in trials:
        for column in _OF_ROWS:
            trials, rows = everywhere(trials, rows, trials[RATIO] == 1, column)
    found = [_crossing(trials, rows, pair) for pair in varying_pairs(trials, list(_NAMES))]
    return [drawing for pair in found for drawing in pair if drawing is not None]


def readings(trials: pd.DataFrame, rows: pd.DataFrame, response: str = ACCURACY) -> list[Reading]:
    """Return test accuracy as it is read: at the end of training, and at a training loss that most trials reach."""
    told = {"response": response, "name": RESPONSES[response]}
    found = [Reading(label=f"at the end, {trials['steps'].max()} steps", ends=at_the_end(trials, rows), **told)]
    shown = rows[rows["step"].isin([0, *shared_steps(rows)])]
    level = matched_level(shown, LOSS, _SHARE)
    if level is not None:
        ends = matched_ends(trials, shown, LOSS, level, response)
        label = f"when the training loss falls to {level:g}{loss_unit(trials)}"
        found.append(Reading(label=label, ends=ends, missing="loss not reached", **told))
    return found


def _crossing(trials: pd.DataFrame, rows: pd.DataFrame, pair: Pair) -> Sequence[Drawing | None]:
    found = panels(trials, rows, inside=(*pair, "seed", "steps"), across=[], several=pair[0])
    if max(filled_share(panel.trials, pair) for panel in found.shown) < _FILLED:
        return []
    axes = (_axis(pair[0], trials), _axis(pair[1], trials))
    title = subject(trials, found, _SUBJECT, f"mean test accuracy (linearised) {of_seeds(trials)}")
    name = f"{_NAMES[pair[0]]}_by_{_NAMES[pair[1]]}"
    read = readings(trials, rows)
    drawn = draw_crossing(found, read, axes, title=title, name=name)
    return [drawn, draw_effects(found, read, axes, title=title, name=name)]


def _axis(column: str, trials: pd.DataFrame) -> CrossedAxis:
    if column == INTERVAL:
        label, name, names = "K: steps between feature updates", "K", interval_names(trials)
    else:
        label, name = _LABELS[column]
        names = {}
    return CrossedAxis(column=column, name=name, label=label, names=names)


_LABELS: Mapping[str, tuple[str, str]] = {
    RATIO: ("share of distinct training samples", "ratio"),
    DEPTH: ("frozen parts, from the input", "frozen"),
    DAMPING: ("damping λ of a round", "damping"),
}
