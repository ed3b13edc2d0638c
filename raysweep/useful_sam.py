"""Sharpness-aware minimisation on easy and difficult features."""

from __future__ import annotations

from raysweep.service.commands.study_command import main
from raysweep.service.study import Study
from trials.useful_sam.knobs import UsefulKnobs
from trials.useful_sam.measurements import MEASUREMENTS

STUDY = Study(
    name="useful_sam",
    question="Does sharpness-aware minimisation learn easy and difficult features more evenly, and only if they move?",
    knobs=UsefulKnobs,
    measurements=MEASUREMENTS,
    recipe="trials.useful_sam.recipe",
    figures="analysis.useful_sam",
    across="sam_rho",
    headline="final_align_hard",
    extendable="steps",
)

if __name__ == "__main__":
    raise SystemExit(main(STUDY))
