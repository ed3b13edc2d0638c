"""One big step: what a single gradient step on the first layer learns, against its length."""

from __future__ import annotations

from raysweep.service.commands.study_command import main
from raysweep.service.study import Study
from trials.one_big_step.knobs import OneBigStepKnobs
from trials.one_big_step.measurements import MEASUREMENTS

STUDY = Study(
    name="one_big_step",
    question="How long must one gradient step be for a network's features to beat random ones?",
    knobs=OneBigStepKnobs,
    measurements=MEASUREMENTS,
    recipe="trials.one_big_step.recipe",
    figures="analysis.one_big_step",
    across="step_size",
    headline="final_neuron_alignment",
)

if __name__ == "__main__":
    raise SystemExit(main(STUDY))
