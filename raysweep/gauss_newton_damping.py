"""Gauss-Newton damping: generalisation and feature movement over the damping of every step."""

from __future__ import annotations

from analysis.gauss_newton_damping import draw
from raysweep.service.commands.study_command import main
from raysweep.service.study import Study
from trials.gauss_newton_damping import MEASUREMENTS, run

STUDY = Study(
    name="gauss_newton_damping",
    question="Does a Gauss-Newton step generalise better the more it is damped, and is that feature learning?",
    trial=run,
    measurements=MEASUREMENTS,
    draw=draw,
    across="damping",
    headline="final_test_acc_at_loss_0_02",
    extendable="steps",
)

if __name__ == "__main__":
    raise SystemExit(main(STUDY))
