"""Figures of the K phase diagram: what a network reaches when its features change every K steps.

Each figure takes the trials and their measurements, as `distinct_trainings` returns them, and is left out where these
do not carry it: older trials lack newer columns. In the numbers behind the figures an infinite K stands as the number
of steps.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import pandas as pd
from matplotlib.axes import Axes

from analysis.core.curves import diverged_entries
from analysis.core.diagrams import Labels, draw_diagrams
from analysis.core.figures import Drawing, ordered_looks, style
from analysis.core.matched_loss import loss_levels
from analysis.core.pages import page_of_measurements, page_of_panels
from analysis.core.panels import Panel, Panels, knob_names, panels, subject
from analysis.core.phase_diagram import MARKED
from analysis.core.study_figures import carried
from analysis.k_phase_diagram.collapse import collapse
from analysis.k_phase_diagram.converged_rounds import converged_rounds
from analysis.k_phase_diagram.crossed_axes import CROSSED, at_every_damping, crossings
from analysis.k_phase_diagram.fits import draw_fit, fit_labels, function_entries, loss_unit, page_of_ends
from analysis.k_phase_diagram.fixed_features import fixed_features
from analysis.k_phase_diagram.interval_axes import (
    draw_diagonal,
    draw_interval_axis,
    draw_logarithmic_axis,
    draw_updates,
    draw_warmed_ends,
    interval_entries,
    interval_names,
    plain_entry,
)
from analysis.k_phase_diagram.intervals import (
    INTERVAL,
    at_the_end,
    by_rounds,
    distinct_trainings,
    interval_cells,
    matched_cells,
    shared_steps,
)
from analysis.k_phase_diagram.movement import layer_labels, movement_labels
from analysis.k_phase_diagram.stability import stability
from analysis.k_phase_diagram.worth_by_interval import worth_by_interval
from analysis.store.results import Results

STUDY = "k_phase_diagram"
RATE, WARM, DAMPING, RESPONSE = "learning_rate", "warm_steps", "effective_damping", "test_acc_lin"
FITTED = 0.99  # below this training accuracy a cell may only be undertrained
_SUBJECT = ("data_name", "network", "optimizer", RATE)
_ACCURACY, _TIME = "test accuracy (linearised)", "training time T (steps)"
_INTERVAL, _SEEDS = "K: steps between feature updates", "mean and range of seeds"


def draw(results: Results) -> Sequence[Drawing]:
    """Return every figure that the stored trials carry, the diagram over K and training time first."""
    trials = results.trials(STUDY)
    trials = trials[(trials["outcome"] != "failed") & (trials["revision"] == trials["revision"].max())]
    trials, rows = distinct_trainings(trials, results.measurements(STUDY, knobs=True), knob_names(trials))
    if not shared_steps(rows):
        return []
    trials, rows = at_every_damping(trials, rows)
    with style():
        crossed = crossings(trials, rows)
    return [*carried(FIGURES, trials, rows), *crossed]


def over_time(trials: pd.DataFrame, rows: pd.DataFrame) -> Drawing:
    """Return test accuracy over K and training time; all cells at K ≥ T are the training that never updates."""
    found = _panels(trials, rows)
    tables = _tables(found, shared_steps(rows))
    figure, grid = draw_diagrams(found, tables, "step", INTERVAL, _labels(trials, found, across=_TIME, up=_INTERVAL))
    for panel in found.shown:
        draw_diagonal(grid[panel.row, panel.column], "K = T")
    return Drawing(figure, found.numbered(tables))


def over_rounds(trials: pd.DataFrame, rows: pd.DataFrame) -> Drawing | None:
    """Return test accuracy over the number of rounds N = T/K and training time.

    N counts rounds of equal length, which a trial that was warmed up first does not have: it is left out.
    """
    trials = trials[trials[WARM] == 0] if WARM in trials else trials
    if trials[INTERVAL].nunique() < 2:
        return None
    found = _panels(trials, rows)
    tables = [by_rounds(cells) for cells in _tables(found, shared_steps(rows))]
    labels = _labels(trials, found, across=_TIME, up="N = T/K: rounds (1: features never change)")
    figure, _ = draw_diagrams(found, tables, "step", "rounds", labels, aligned=False)
    return Drawing(figure, found.numbered(tables), "rounds")


def over_updates(trials: pd.DataFrame, rows: pd.DataFrame) -> Drawing | None:
    """Return test accuracy against the number of feature updates so far, one curve a training time."""
    if trials[INTERVAL].nunique() < 2:
        return None
    found = _panels(trials, rows[rows["step"].isin(shared_steps(rows))])
    figure, numbers = page_of_panels(
        found,
        lambda axes, panel: draw_updates(axes, panel.rows, RESPONSE),
        title=subject(trials, found, _SUBJECT, f"{_SEEDS} (hollow: not all of them)"),
        across="number of feature updates",
        up=_ACCURACY,
    )
    return Drawing(figure, numbers, "updates")


def at_loss(trials: pd.DataFrame, rows: pd.DataFrame) -> Drawing | None:
    """Return test accuracy over K and the training loss at which it is read, interpolated as `at_matched_loss` says."""
    rows = rows[rows["step"].isin([0, *shared_steps(rows)])]
    levels = loss_levels(rows, "train_loss_lin")
    if not levels:
        return None
    found = _panels(trials, rows)
    tables = [matched_cells(panel.trials, panel.rows, levels, "train_loss_lin", RESPONSE) for panel in found.shown]
    across = f"training loss (linearised) when first reached{loss_unit(trials)}"
    words = {"missing": "loss not reached", "dot": "reached by some seeds only"}
    labels = _labels(trials, found, across=across, up=_INTERVAL, **words)
    figure, grid = draw_diagrams(found, tables, "level", INTERVAL, labels)
    for panel in found.shown:
        grid[panel.row, panel.column].invert_xaxis()
    return Drawing(figure, found.numbered(tables), "matched_loss")


def movement(trials: pd.DataFrame, rows: pd.DataFrame) -> Drawing | None:
    """Return how far features and parameters have moved by the end of training, against K."""
    measured = movement_labels(at_the_end(trials, rows), INTERVAL)
    return _ends(trials, rows, measured, INTERVAL, draw_interval_axis, _INTERVAL, "movement")


def movement_of_layers(trials: pd.DataFrame, rows: pd.DataFrame) -> Drawing | None:
    """Return how far each layer has moved by the end of training, against K."""
    measured = layer_labels(at_the_end(trials, rows), INTERVAL)
    return _ends(trials, rows, measured, INTERVAL, draw_interval_axis, _INTERVAL, "layers")


def trajectories(trials: pd.DataFrame, rows: pd.DataFrame) -> Drawing:
    """Return loss and accuracy of the linearised model and of the network against the step, one line each K."""
    found = _panels(trials, rows[rows["step"].isin(shared_steps(rows))], several="", wraps=False)
    looks = ordered_looks(trials[INTERVAL])

    def draw_one(axes: Axes, panel: Panel, column: str) -> pd.DataFrame:
        return draw_fit(axes, panel.rows, panel.trials, column, INTERVAL, looks=looks)

    legend = [*interval_entries(trials, looks), *diverged_entries(trials["outcome"]), *function_entries()]
    title = subject(trials, found, _SUBJECT, "means over seeds")
    figure, numbers = page_of_measurements(
        found, fit_labels(trials), draw_one, title=title, across="step", legend=legend
    )
    return Drawing(figure, numbers, "trajectories")


def against_damping(trials: pd.DataFrame, rows: pd.DataFrame) -> Drawing | None:
    """Return loss and accuracy at the end of training against 1/(learning rate × K), which acts as a damping."""
    if DAMPING not in rows:
        rows = rows.assign(**{DAMPING: 1 / (rows[RATE] * rows[INTERVAL])})
    across = "effective damping 1/(learning rate × K)"
    return _ends(trials, rows, fit_labels(trials), DAMPING, draw_logarithmic_axis, across, "damping")


def one_shot(trials: pd.DataFrame, rows: pd.DataFrame) -> Drawing | None:
    """Return test accuracy at the end of training against the plain steps before the first interval, a line each K."""
    ends = at_the_end(trials, rows)
    if WARM not in ends or ends[WARM].nunique() < 2:
        return None
    found = _panels(trials, ends, WARM, several=WARM)
    warmed = ends.groupby(INTERVAL)[WARM].transform("nunique") > 1
    looks = ordered_looks(ends.loc[warmed, INTERVAL])
    figure, numbers = page_of_panels(
        found,
        lambda axes, panel: draw_warmed_ends(axes, panel.rows, "test_acc", WARM, looks=looks),
        title=subject(trials, found, _SUBJECT, _SEEDS),
        across="steps of plain SGD before the first round",
        up="test accuracy at the end",
        legend=[*interval_entries(trials, looks), plain_entry(), *function_entries()],
    )
    return Drawing(figure, numbers, "one_shot")


# The first is the study's main figure.
FIGURES = (
    over_time,
    over_rounds,
    over_updates,
    at_loss,
    movement,
    movement_of_layers,
    trajectories,
    against_damping,
    stability,
    one_shot,
    converged_rounds,
    fixed_features,
    worth_by_interval,
    collapse,
)


def _ends(
    trials: pd.DataFrame,
    rows: pd.DataFrame,
    measured: Mapping[str, str],
    across: str,
    axis: Callable[[Axes, pd.DataFrame], None],
    label: str,
    name: str,
) -> Drawing | None:
    ends = at_the_end(trials, rows)
    ends = ends[ends[across].notna()]
    trials = trials[trials["trial_id"].isin(ends["trial_id"])]
    if not measured or ends.loc[ends["outcome"] == "finished", INTERVAL].nunique() < 2:
        return None
    found = _panels(trials, ends, RATE)
    title = subject(trials, found, _SUBJECT, f"after {trials['steps'].max()} steps", _SEEDS)
    figure, numbers = page_of_ends(found, measured, across, RATE, axis=axis, title=title, label=label)
    return Drawing(figure, numbers, name)


def _panels(
    trials: pd.DataFrame, rows: pd.DataFrame, *inside: str, several: str = INTERVAL, wraps: bool = True
) -> Panels:
    apart = (INTERVAL, "seed", "steps", *inside)
    beside = next((name for name in (RATE, *CROSSED) if name in trials and trials[name].nunique() > 1), RATE)
    return panels(trials, rows, inside=apart, across=[beside], several=several, wraps=wraps)


def _tables(found: Panels, steps: Sequence[int]) -> list[pd.DataFrame]:
    tables = [interval_cells(panel.trials, panel.rows, steps, RESPONSE, "train_acc_lin") for panel in found.shown]
    return [cells.assign(**{MARKED: cells["train_acc_lin"] < FITTED}) for cells in tables]


def _labels(
    trials: pd.DataFrame,
    found: Panels,
    *,
    missing: str = "missing",
    dot: str = f"training accuracy below {FITTED}",
    **axes: str,
) -> Labels:
    title, names = subject(trials, found, _SUBJECT), interval_names(trials)
    return Labels(title=title, colour=f"mean {_ACCURACY}", rows=names, missing=missing, dot=dot, **axes)
