"""Figures of the multi-view theory: what is learned first, beside the lines that the theory predicts.

Predicted lines are derived from the published growth law: a feature wins whose frequency times magnitude^q is larger.
Each figure takes the finished trials and their rows, and is left out where these do not carry it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from analysis.core.boundary_lines import crossings, label_values, power_law
from analysis.core.curves import draw_marked, line_entry
from analysis.core.figures import Drawing, looks, ordered_looks
from analysis.core.pages import axes_grid
from analysis.core.panels import Panels, panels, spread, subject
from analysis.core.study_figures import carried_figures
from analysis.multi_view.feature_curves import draw_means, noise_of_balance, told_apart
from analysis.multi_view.feature_diagrams import FITTED, draw_plane, spans
from analysis.multi_view.feature_scores import (
    ARM,
    COMMON,
    COPIES,
    DRAWS,
    EXPONENT,
    LABELS,
    LEVEL,
    MINORITY,
    MINORITY_ACC,
    NOISE,
    NOISE_SCALE,
    PLANES,
    RARE,
    RATIO,
    SAMPLES,
    SHARE,
    SPURIOUS_SCALE,
    true_over_noise,
    true_over_spurious,
)
from analysis.multi_view.learning_times import draw_learning_times, learned_points
from analysis.store.results import Results

STUDY = "multi_view"
_SUBJECT = (EXPONENT, SAMPLES, SHARE, NOISE, "channels", "initial_scale", "noise", ARM)
# Good or bad: accurate or not; easy or hard: a large or a small part of the gradient (Shen, Bubeck and Gunasekar).
_SIDES = "rare views are good & easy on its left; on its right good & hard, after the noise, which is bad & easy"
_SPREAD = "mean and 95 % interval over seeds"
_PASSIVE = ("seed", "flat_phase", "steps", "threshold", "patches", "dimension", "test_samples")


def draw(results: Results) -> Sequence[Drawing]:
    """Return every figure that the stored trials carry."""
    return carried_figures(results, STUDY, FIGURES)


def phase_diagram(trials: pd.DataFrame, rows: pd.DataFrame) -> Drawing | None:
    """Return the accuracy in question over two knobs, the predicted boundary over the measured one."""
    plane = next((plane for plane in PLANES if spans(trials, plane)), None)
    if plane is None:
        return None
    found = _panels(trials, trials, across=[EXPONENT], inside=(plane.horizontal, plane.vertical))
    remarks = ["diamonds: measured boundary", "lines: predicted (derived)"]
    if (plane.horizontal, plane.response) == (NOISE, RARE):
        remarks += [_SIDES]
    return draw_plane(found, plane, _subject(trials, *remarks), LABELS)


def boundary(trials: pd.DataFrame, rows: pd.DataFrame) -> Drawing | None:
    """Return the noise at which rare views are lost against nρ, with the fitted power beside the predicted 1/q."""
    # A slow cell that was cut short looks like one whose views are never learned.
    whole = (trials["final_train_acc"] >= FITTED) & (trials["final_stopped_by"] == "loss")
    fitted = trials[whole & (trials[EXPONENT] > 1) & (trials[ARM] == "none")]
    fitted = fitted.assign(count=np.floor(fitted[SAMPLES] * fitted[SHARE] + 0.5))  # a view has whole samples
    figure, grid = axes_grid(1, 1, size=(4.6, 3.6), title="noise at which rare views are half lost")
    axes, numbers = grid[0, 0], []
    for exponent, (colour, marker) in ordered_looks(fitted[EXPONENT]).items():
        cells = fitted[fitted[EXPONENT] == exponent].groupby(["count", NOISE])[RARE].mean().rename("mean").reset_index()
        found = crossings(cells, NOISE, "count", LEVEL)
        law = power_law(found["count"], found[NOISE])
        if law is None:
            continue
        label = f"q = {exponent:g}: power {law.power:.2f} measured, {1 / exponent:.2f} predicted"
        axes.plot(found["count"], found[NOISE], marker, color=colour, label=label)
        theory: Mapping[str, Any] = {"marker": marker, "markerfacecolor": "none", "linestyle": "--", "linewidth": 1}
        axes.plot(found["count"], found["count"] ** (1 / exponent), color=colour, **theory)
        numbers.append(found.assign(exponent=exponent, measured_power=law.power, predicted_power=1 / exponent))
    if not numbers:
        return None
    points = pd.concat(numbers, ignore_index=True)
    label_values(axes, "x", points["count"])
    label_values(axes, "y", points[NOISE])
    axes.set(xlabel="samples of each rare view nρ", ylabel=f"{LABELS[NOISE]} where accuracy is {LEVEL:g}")
    axes.set_ylim(top=1.6 * axes.get_ylim()[1])  # room for the legend
    axes.legend(title="dashed: σ^q = nρ (derived)", fontsize=8, loc="upper left")
    return Drawing(figure, points, "boundary")


def transition(trials: pd.DataFrame, rows: pd.DataFrame) -> Drawing | None:
    """Return the accuracy of rare views against the noise, at the commonest set, and against the importance ratio."""
    chosen = trials[(trials[ARM] == "none") & trials[RARE].notna()]
    if chosen[NOISE].nunique() < 2:
        return None
    counts = chosen.groupby([SAMPLES, SHARE])["trial_id"].transform("count")
    common = chosen[counts == counts.max()].drop_duplicates([EXPONENT, NOISE, "seed"])
    figure, grid = axes_grid(1, 2, size=(4.2, 3.2), title=_subject(chosen, _SPREAD))
    numbers = []
    for axes, across, shown in zip(grid[0], (NOISE, RATIO), (common, chosen), strict=True):
        rounded = shown.assign(**{across: shown[across].map("{:.6g}".format).astype(float)})
        numbers.append(draw_means(axes, rounded, across, RARE, EXPONENT))
        axes.axhline(0.5, color="#999999", linewidth=0.8, linestyle=":")
        axes.set_ylim(0.45, 1.02)
    label_values(grid[0, 0], "x", common[NOISE])
    grid[0, 1].set_xscale("log")
    grid[0, 1].axvline(1, color="#555555", linewidth=1, linestyle="--", label="predicted boundary\n(derived)")
    grid[0, 1].legend(loc="lower right", fontsize=8, title="exponent q")
    return Drawing(figure, pd.concat(numbers, ignore_index=True), "transition")


def learning_times(trials: pd.DataFrame, rows: pd.DataFrame) -> Drawing | None:
    """Return measured learning times against those of the closed forms: each view, and the median noise."""
    points = learned_points(rows[rows["steps_run"].notna()])
    if not len(points):
        return None
    figure, grid = axes_grid(1, 1, size=(4.6, 4.0), title="learning times: gradient descent against the closed form")
    draw_learning_times(grid[0, 0], points)
    return Drawing(figure, points, "learning_times")


def augmentation(trials: pd.DataFrame, rows: pd.DataFrame) -> Drawing | None:
    """Return accuracies of the rare views and of the common one against the noise, a line each arm."""
    trials = told_apart(trials)
    arms = trials[trials[NOISE].groupby(trials[ARM]).transform("nunique") > 1]
    if arms[ARM].nunique() < 2:
        return None
    if arms[EXPONENT].nunique() > 1:
        arms = arms.assign(**{ARM: arms[ARM] + ", q = " + arms[EXPONENT].astype(str)})
    figure, grid = axes_grid(
        1, 2, size=(4.2, 3.3), title=_subject(arms, "dotted: predicted boundary (derived)", _SPREAD)
    )
    numbers = []
    for axes, response, view in zip(grid[0], (RARE, COMMON), (None, 1), strict=True):
        numbers.append(draw_means(axes, arms, NOISE, response, ARM))
        for arm, (colour, marker) in looks(sorted(arms[ARM].unique())).items():
            balance = noise_of_balance(arms[arms[ARM] == arm], rows, view)
            axes.axvline(
                balance, color=colour, linestyle=":", linewidth=1.2, marker=marker, markevery=[1], clip_on=False
            )
        label_values(axes, "x", arms[NOISE])
    grid[0, 0].legend(fontsize=8)
    return Drawing(figure, pd.concat(numbers, ignore_index=True), "augmentation")


def copies(trials: pd.DataFrame, rows: pd.DataFrame) -> Drawing | None:
    """Return accuracies against the number of copies of the training set, a line each arm."""
    chosen = told_apart(trials[trials[COPIES] > 0])
    if chosen[COPIES].nunique() < 2:
        return None
    figure, grid = axes_grid(1, 2, size=(4.2, 3.3), title=_subject(chosen, _SPREAD))
    numbers = [
        draw_means(axes, chosen, COPIES, shown, ARM) for axes, shown in zip(grid[0], (RARE, COMMON), strict=True)
    ]
    grid[0, 0].legend(fontsize=8)
    return Drawing(figure, pd.concat(numbers, ignore_index=True), "copies")


def pretraining(trials: pd.DataFrame, rows: pd.DataFrame) -> Drawing | None:
    """Return the minority's accuracy against the scale of the noise and of the spurious feature, the other kept."""
    chosen = trials[trials[MINORITY_ACC].notna()]
    arms = [(NOISE_SCALE, SPURIOUS_SCALE, true_over_noise), (SPURIOUS_SCALE, NOISE_SCALE, true_over_spurious)]
    alone = [chosen[chosen[other] == 1] for _, other, _ in arms]
    if any(part[scale].nunique() < 2 for part, (scale, _, _) in zip(alone, arms, strict=True)):
        return None
    figure, grid = axes_grid(1, 2, size=(3.8, 3.2), title=f"dashed: predicted flip (derived); {_SPREAD}")
    numbers = []
    for axes, part, (scale, _, ratio) in zip(grid[0], alone, arms, strict=True):
        numbers.append(draw_means(axes, part, scale, MINORITY_ACC, MINORITY))
        one = part.iloc[:1]
        flip = float(ratio(one.assign(**{scale: 1.0})).iloc[0]) ** (1 / one[EXPONENT].iloc[0])
        axes.axvline(flip, color="#555555", linestyle="--", linewidth=1)
    return Drawing(figure, pd.concat(numbers, ignore_index=True), "pretraining")


def trajectories(trials: pd.DataFrame, rows: pd.DataFrame) -> Drawing:
    """Return projections against time, in a trial of a large, a medium and a small importance ratio."""
    ordered = trials[trials["seed"] == trials["seed"].min()].sort_values(RATIO, ascending=False, kind="stable")
    chosen = [ordered.iloc[at] for at in spread(range(len(ordered)), 3)]
    legend = [line_entry(look, name) for name, look in looks(_COURSES).items()]
    legend += [Line2D([], [], color="#555555", linestyle="--", label="closed form")]
    figure, grid = axes_grid(1, len(chosen), legend=legend, title=_subject(ordered, "largest projection over channels"))
    numbers = []
    for axes, trial in zip(grid[0], chosen, strict=True):
        numbers.append(_draw_course(axes, rows[(rows["trial_id"] == trial["trial_id"]) & (rows["time"] > 0)]))
        axes.set(xlabel="time (learning rate × steps)", xscale="log", yscale="log")
        axes.set_title(f"q = {trial[EXPONENT]}, σ = {trial[NOISE]:.3g}: nρ/σ^q = {trial[RATIO]:.2g}")
    grid[0, 0].set_ylabel("projection")
    return Drawing(figure, pd.concat(numbers, ignore_index=True), "trajectories")


_COURSES: Mapping[str, tuple[str, str | None]] = MappingProxyType(
    {
        "view": ("proj_view_max", "ode_view_pred"),
        "noise": ("proj_noise_max_median", "ode_noise_pred"),
        "spurious": ("proj_spurious_max", None),
    }
)
# The first is the study's main figure.
FIGURES = (phase_diagram, trajectories, boundary, transition, learning_times, augmentation, copies, pretraining)


def _draw_course(axes: Axes, rows: pd.DataFrame) -> pd.DataFrame:
    for (measured, predicted), look in zip(_COURSES.values(), looks(_COURSES).values(), strict=True):
        for _, course in rows.groupby("view"):
            draw_marked(axes, course["time"], course[measured], look, linewidth=1.2)
            if predicted:
                small = course[course[predicted].between(0, 1)]
                draw_marked(axes, small["time"], small[predicted], look, linewidth=0.9, linestyle="--")
    return rows[["trial_id", "step", "time", "view", *(name for pair in _COURSES.values() for name in pair if name)]]


def _panels(trials: pd.DataFrame, rows: pd.DataFrame, *, across: Sequence[str], inside: Sequence[str] = ()) -> Panels:
    return panels(trials, rows, inside=(*inside, *_PASSIVE), across=across)


def _subject(trials: pd.DataFrame, *remarks: str) -> str:
    online = (trials[DRAWS] != "once").all()  # the rule needs no mention
    return subject(trials, Panels(()), (*_SUBJECT, DRAWS) if online else _SUBJECT, *remarks)
