"""Spurious features on cats and dogs: which augmentation, and how deep a freeze, keeps a network from a patch."""

from __future__ import annotations

from raysweep.service.commands.study_command import main
from raysweep.service.study import Study
from trials.spurious_cat_dog.knobs import CatDogKnobs, shared_work
from trials.spurious_cat_dog.measurements import MEASUREMENTS

STUDY = Study(
    name="spurious_cat_dog",
    question="Does freezing what was pretrained, or augmentation, keep a network from a patch that tells the class?",
    knobs=CatDogKnobs,
    measurements=MEASUREMENTS,
    recipe="trials.spurious_cat_dog.recipe",
    figures="analysis.spurious_cat_dog.figures",
    across="freeze_depth",
    headline="final_acc_clean",
    shared_work=shared_work,
)

if __name__ == "__main__":
    raise SystemExit(main(STUDY))
