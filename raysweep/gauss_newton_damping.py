"""Gauss-Newton damping: generalisation and feature movement over the damping of every step."""

from __future__ import annotations

from raysweep.service.commands.study_command import main
from raysweep.service.study import Study
from trials.gauss_newton_damping.knobs import DampingKnobs
from trials.gauss_newton_damping.measurements import MEASUREMENTS

STUDY = Study(
    name="gauss_newton_damping",
    question="Does a Gauss-Newton step generalise better the more it is damped, and is that feature learning?",
    knobs=DampingKnobs,
    measurements=MEASUREMENTS,
    recipe="trials.gauss_newton_damping.recipe",
    figures="analysis.gauss_newton_damping.figures",
    across="damping",
    headline="final_test_acc_at_loss_0_02",
    extendable="steps",
)

if __name__ == "__main__":
    raise SystemExit(main(STUDY))
