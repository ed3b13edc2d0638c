"""One big step: what a single gradient step on the first layer learns, against its length."""

from __future__ import annotations

from analysis.one_big_step import draw
from raysweep.service.commands.study_command import main
from raysweep.service.study import Study
from trials.one_big_step import MEASUREMENTS, run

STUDY = Study(
    name="one_big_step",
    question="How long must one gradient step be for a network's features to beat random ones?",
    trial=run,
    measurements=MEASUREMENTS,
    draw=draw,
    across="step_size",
    headline="final_neuron_alignment",
)

if __name__ == "__main__":
    raise SystemExit(main(STUDY))
