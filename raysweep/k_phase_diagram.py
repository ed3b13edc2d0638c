"""The K phase diagram: test accuracy over the interval between feature updates and training time."""

from __future__ import annotations

from analysis.k_phase_diagram import draw
from raysweep.service.commands.study_command import main
from raysweep.service.study import Study
from trials.k_phase_diagram import MEASUREMENTS, TOGETHER, run

STUDY = Study(
    name="k_phase_diagram",
    question="How often must a network's features be updated (K) for it to generalise?",
    trial=run,
    measurements=MEASUREMENTS,
    draw=draw,
    across="feature_update_interval",
    headline="final_test_acc_lin",
    extendable="steps",
    together=TOGETHER,
    revision=3,
)

if __name__ == "__main__":
    raise SystemExit(main(STUDY))
