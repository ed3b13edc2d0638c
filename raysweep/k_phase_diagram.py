"""The K phase diagram: test accuracy over the interval between feature updates and training time."""

from __future__ import annotations

from raysweep.service.commands.study_command import main
from raysweep.service.study import Study
from trials.k_phase_diagram.knobs import KPhaseKnobs
from trials.k_phase_diagram.measurements import MEASUREMENTS

STUDY = Study(
    name="k_phase_diagram",
    question="How often must a network's features be updated (K) for it to generalise?",
    knobs=KPhaseKnobs,
    measurements=MEASUREMENTS,
    recipe="trials.k_phase_diagram.recipe",
    figures="analysis.k_phase_diagram.figures",
    across="feature_update_interval",
    headline="final_test_acc_lin",
    extendable="steps",
    revision=3,
)

if __name__ == "__main__":
    raise SystemExit(main(STUDY))
