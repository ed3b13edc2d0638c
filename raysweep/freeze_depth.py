"""Freeze depth: does pretraining project out what is spuriously correlated with the label?"""

from __future__ import annotations

from raysweep.service.commands.study_command import main
from raysweep.service.study import Study
from trials.freeze_depth.birds.knobs import shared_pretraining
from trials.freeze_depth.knobs import FreezeDepthKnobs
from trials.freeze_depth.measurements import MEASUREMENTS

STUDY = Study(
    name="freeze_depth",
    question="Does freezing more of a pretrained network help to predict the bird, the background, or both?",
    knobs=FreezeDepthKnobs,
    measurements=MEASUREMENTS,
    recipe="trials.freeze_depth.recipe",
    figures="analysis.freeze_depth.figures",
    across="freeze_depth",
    headline="final_selected_test_worst_group_acc",
    shared_work=shared_pretraining,
    revision=2,
)

if __name__ == "__main__":
    raise SystemExit(main(STUDY))
