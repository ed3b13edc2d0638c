"""Figures of Gauss-Newton damping: generalisation, speed, steps and feature movement against the damping.

Dampings are compared where their training loss is the same: after equally many steps a large damping is undertrained,
and what a trial that ran out of steps ends with is no result. The axis is the effective damping, which for K steps of
inner gradient descent of rate eta is 1/(eta K); dampings of 0 stand at its left end.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pandas as pd

from analysis.core.figures import Drawing, style
from analysis.core.phase_diagram import common_range, draw_phase_diagram, legend_entries, phase_cells
from analysis.gauss_newton_damping.bands import PLAIN, Kinds, draw_bands, joined, name_curves, panels_of
from analysis.gauss_newton_damping.damping_arms import (
    ARM,
    ARM_OF_RATES,
    BY_CONJUGATE_GRADIENTS,
    DAMPING,
    DESCENDING,
    PROXIMAL,
    RATE,
    STEP_DAMPING,
    with_arms,
)
from analysis.store.results import Results

STUDY = "gauss_newton_damping"
MATCHED_LOSSES = (0.1, 0.05, 0.02, 0.005, 0.001)
COMPARED_LOSS = 0.02
_RESPONSES = ("test_acc", "test_loss", "ntk_distance", "ntk_cka_target", "param_dist", "param_path", "step")
_AXIS = "damping λ, or 1/(ηK)"

_RINGS: Kinds = {
    name: {"linestyle": "none", "point": {"marker": marker, "markersize": size, "markerfacecolor": "none"}}
    for name, marker, size in (
        (f"{PROXIMAL}, in closed form", "o", 7),
        (BY_CONJUGATE_GRADIENTS, "s", 10),
        (f"{PROXIMAL}, by gradient steps", "D", 13),
    )
}
"""Rings of three sizes, for the curves that lie on that of the damped step."""

Panel = tuple[str, str, pd.DataFrame]
"""A response column, its axis label, and rows with one of it a trial."""


def draw(results: Results) -> Sequence[Drawing]:
    """Return the figures for which the stored trials have something to show."""
    rows = with_arms(results.measurements(STUDY, knobs=True), results.trials(STUDY))
    trained, searched = rows[~rows["first_steps"]], rows[rows["first_steps"]]
    none, damped = rows[:0], trained[trained[DAMPING] > 0]
    figures: Sequence[tuple[Callable[[pd.DataFrame], Drawing], pd.DataFrame]] = (
        (generalisation, trained),
        (matched_losses, trained),
        (movement, trained),
        (speed, trained),
        (first_steps, searched if len(searched) else trained),
        (damping_and_learning_rate, damped if damped[RATE].nunique() > 1 else none),
        (linearisation, trained if trained["solver"].isin(DESCENDING).any() else none),
    )
    with style():
        drawings = [figure(shown) for figure, shown in figures if len(shown)]
    return [drawing for drawing in drawings if len(drawing.numbers)]


def generalisation(rows: pd.DataFrame) -> Drawing:
    """Return test accuracy and test loss, at one training loss and where training has converged; the best is marked."""
    matched, converged = at_training_loss(rows, COMPARED_LOSS), at_convergence(rows)
    panels = [
        (column, f"{label}\n{when}", shown)
        for column, label in (("test_acc", "test accuracy"), ("test_loss", "test loss"))
        for when, shown in ((f"at a training loss of {COMPARED_LOSS:g}", matched), ("converged trials", converged))
    ]
    best = {"test_acc": "max", "test_loss": "min"}
    return _panelled("", panels, columns=2, best=best, logarithmic=("test_loss",), named=1)  # most crosses are there


def matched_losses(rows: pd.DataFrame) -> Drawing:
    """Return test accuracy against the damping, a curve for each training loss at which it is compared."""
    levels = [at_training_loss(rows, loss).assign(level=f"{loss:g}") for loss in MATCHED_LOSSES]
    arms = sorted(rows[ARM].unique())
    figure, axes = panels_of(len(arms), min(len(arms), 3))
    numbers = []
    for panel, arm in zip(axes, arms, strict=True):
        shown = pd.concat(levels)
        numbers.append(draw_bands(panel, shown[shown[ARM] == arm], DAMPING, "test_acc", by="level").assign(arm=arm))
        panel.set(xlabel=_AXIS, ylabel="test accuracy", title="" if arm == "all" else arm)
        name_curves(panel, "training loss below")
    return Drawing(figure, joined(numbers), "matched_losses")


def movement(rows: pd.DataFrame) -> Drawing:
    """Return how far features and parameters have moved at one training loss."""
    shown = at_training_loss(rows, COMPARED_LOSS)
    return _panelled(
        "movement",
        [
            ("ntk_distance", "tangent kernel's distance\nfrom initialisation", shown),
            ("ntk_cka_target", "tangent kernel's alignment\nwith the targets", shown),
            ("param_dist", "||θ - θ₀|| / ||θ₀||", shown),
            ("param_path", "length of the path", shown),
        ],
        columns=4,
        logarithmic=("param_dist", "param_path"),
    )


def speed(rows: pd.DataFrame) -> Drawing:
    """Return the steps that it takes to the compared training loss, and to convergence."""
    return _panelled(
        "steps",
        [
            ("step", f"steps to a training loss of {COMPARED_LOSS:g}", at_training_loss(rows, COMPARED_LOSS)),
            ("step", "steps to convergence", at_convergence(rows)),
        ],
        columns=2,
        logarithmic=("step",),
    )


def first_steps(rows: pd.DataFrame) -> Drawing:
    """Return what the first step does, from the initialisation: the network against its linearisation."""
    first = rows[rows["step"] == 1]
    first = first.assign(**{DAMPING: first[STEP_DAMPING]})
    return _panelled(
        "first_step",
        [
            ("test_acc", "test accuracy, network", first),
            ("test_acc_lin", "test accuracy, linearisation", first),
            ("rho", "actual / predicted decrease ρ", first),
            ("step_norm", "length of the step", first),
        ],
        columns=4,
        logarithmic=("step_norm",),
        symmetric=("rho",),
    )


def damping_and_learning_rate(rows: pd.DataFrame) -> Drawing:
    """Return test accuracy at the compared training loss over damping and learning rate, a panel for each arm."""
    reached = at_training_loss(rows, COMPARED_LOSS)
    tables = {str(arm): _cells(trials) for arm, trials in reached.groupby(ARM_OF_RATES)}
    figure, panels = panels_of(len(tables), min(len(tables), 3))
    for axes, (arm, cells) in zip(panels, tables.items(), strict=True):
        mesh = draw_phase_diagram(axes, cells, DAMPING, RATE, shown=common_range([*tables.values()]), labels={})
        axes.set(xlabel=_AXIS, ylabel="learning rate α", title="" if arm == "all" else arm)
        if entries := legend_entries(cells, missing=f"{COMPARED_LOSS:g} not reached"):
            axes.legend(handles=entries, loc="upper left", bbox_to_anchor=(0, -0.16), ncols=2)
    figure.colorbar(mesh, ax=panels, label=f"test accuracy at a training loss of {COMPARED_LOSS:g}")
    return Drawing(figure, joined([cells.assign(arm=arm) for arm, cells in tables.items()]), RATE)


def _cells(reached: pd.DataFrame) -> pd.DataFrame:
    """Return the cells of one arm's diagram; a trial that diverged counts in its own cell alone."""
    tables = []
    for damping in sorted(reached[DAMPING].unique()):
        trials = reached[reached[DAMPING] == damping]
        tables.append(phase_cells(trials, trials, DAMPING, RATE, "test_acc", columns=[damping]))
    return joined(tables)


def linearisation(rows: pd.DataFrame) -> Drawing:
    """Return the damped step against linearisation: cut short at matched 1/(ηK), and with its proximal term."""
    shown = at_training_loss(rows, COMPARED_LOSS)
    return _panelled(
        "linearisation",
        [
            ("test_acc", f"test accuracy\nat a training loss of {COMPARED_LOSS:g}", shown),
            ("ntk_distance", "tangent kernel's distance\nfrom initialisation", shown),
            ("step", "steps (rounds)", shown),
        ],
        columns=3,
        logarithmic=("step",),
        kinds=_RINGS,
        named=2,  # few steps at small dampings: there is room above them
    )


def at_training_loss(rows: pd.DataFrame, loss: float) -> pd.DataFrame:
    """Return the first row of every trial whose training loss is below `loss`: crossings are always measured.

    A trial that never is has a row without responses, so that what was not reached can be told from what was not run.
    """
    return _first(rows, rows["train_loss"] < loss)


def at_convergence(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the last row of every trial that converged, and a row without responses of every other one.

    Converged is what came below the smallest loss tolerance of its curve: a trial that was asked for less ended sooner.
    """
    asked = rows.groupby(ARM)["loss_tolerance"].transform("min")
    return _first(rows, (rows["status"] == "converged") & (rows["train_loss"] < asked))


def _first(rows: pd.DataFrame, wanted: pd.Series) -> pd.DataFrame:
    ordered = rows.assign(wanted=wanted).sort_values(["wanted", "step"], ascending=[False, True])
    first = ordered.drop_duplicates("trial_id")
    return first.assign(**{name: first[name].where(first["wanted"]) for name in _RESPONSES})


def _panelled(
    name: str,
    panels: Sequence[Panel],
    *,
    columns: int,
    best: dict[str, str] | None = None,
    logarithmic: Sequence[str] = (),
    symmetric: Sequence[str] = (),
    kinds: Kinds = PLAIN,
    named: int = 0,
) -> Drawing:
    """Return a figure with one panel for each response, one curve for each arm; the panel `named` names them."""
    figure, axes = panels_of(len(panels), columns)
    numbers = []
    for panel, (response, label, shown) in zip(axes, panels, strict=True):
        marked = (best or {}).get(response, "")
        curves = draw_bands(panel, shown, DAMPING, response, by=ARM, best=marked, kinds=kinds)
        numbers.append(curves.assign(quantity=label.replace("\n", ", ")))
        panel.set(xlabel=_AXIS, ylabel=label)
        if response in logarithmic and len(curves):
            panel.set_yscale("log")
        if response in symmetric and len(curves):
            panel.set_yscale("symlog", linthresh=1)
    name_curves(axes[named])
    return Drawing(figure, joined(numbers), name)
