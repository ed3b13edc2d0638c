"""Multi-view theory: the boundary between learning a feature and memorising the noise of its samples."""

from __future__ import annotations

from raysweep.service.commands.study_command import main
from raysweep.service.study import Study
from trials.multi_view.knobs import MultiViewKnobs
from trials.multi_view.measurements import MEASUREMENTS

STUDY = Study(
    name="multi_view",
    question="Which feature does gradient descent learn first: a rare good one, a sample's noise, or a spurious one?",
    knobs=MultiViewKnobs,
    measurements=MEASUREMENTS,
    recipe="trials.multi_view.recipe",
    figures="analysis.multi_view.figures",
    across="noise_magnitude",
    headline="final_test_acc_rare_mean",
)

if __name__ == "__main__":
    raise SystemExit(main(STUDY))
