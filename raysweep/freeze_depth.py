"""Freeze depth: does pretraining project out what is spuriously correlated with the label?"""

from __future__ import annotations

from analysis.freeze_depth import draw
from raysweep.service.commands.study_command import main
from raysweep.service.study import Study
from trials.freeze_depth.birds.networks import shared_pretraining
from trials.freeze_depth.recipe import MEASUREMENTS, run

STUDY = Study(
    name="freeze_depth",
    question="Does freezing more of a pretrained network help to predict the bird, the background, or both?",
    trial=run,
    measurements=MEASUREMENTS,
    draw=draw,
    across="freeze_depth",
    headline="final_selected_test_worst_group_acc",
    shared_work=shared_pretraining,
    revision=2,
)

if __name__ == "__main__":
    raise SystemExit(main(STUDY))
