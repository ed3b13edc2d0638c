"""The figures of a study that has two, quick to draw."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure

from analysis.core.figures import Drawing
from analysis.store.results import Results


def draw(results: Results) -> Sequence[Drawing]:
    """Draw the trials' accuracies, and nothing beside."""
    trials = results.trials("k_phase_diagram")[["seed", "final_test_acc_lin"]]
    figure, blank = Figure(), Figure()
    figure.subplots().plot(trials["seed"], trials["final_test_acc_lin"])
    blank.subplots()
    return [Drawing(figure, trials), Drawing(blank, trials[:0], "blank")]
