"""Augmentation ratio: test accuracy where rows of a training set are copies of few images, or transforms of them."""

from __future__ import annotations

from raysweep.service.commands.study_command import main
from raysweep.service.study import Study
from trials.augmentation_ratio.knobs import AugmentationKnobs
from trials.augmentation_ratio.measurements import MEASUREMENTS

STUDY = Study(
    name="augmentation_ratio",
    question="Is one fixed transformed copy of an image worth a new image?",
    knobs=AugmentationKnobs,
    measurements=MEASUREMENTS,
    recipe="trials.augmentation_ratio.recipe",
    figures="analysis.augmentation_ratio.figures",
    across="ratio",
    headline="final_test_acc",
    revision=2,
)

if __name__ == "__main__":
    raise SystemExit(main(STUDY))
