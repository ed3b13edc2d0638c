"""Multi-view theory: the boundary between learning a feature and memorising the noise of its samples."""

from __future__ import annotations

from analysis.multi_view import draw
from raysweep.service.commands.study_command import main
from raysweep.service.study import Study
from trials.multi_view import MEASUREMENTS, TOGETHER, run

STUDY = Study(
    name="multi_view",
    question="Which feature does gradient descent learn first: a rare good one, a sample's noise, or a spurious one?",
    trial=run,
    measurements=MEASUREMENTS,
    draw=draw,
    across="noise_magnitude",
    headline="final_test_acc_rare_mean",
    together=TOGETHER,
)

if __name__ == "__main__":
    raise SystemExit(main(STUDY))
