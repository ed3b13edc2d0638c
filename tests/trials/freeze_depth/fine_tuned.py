"""Small fine-tunings on composites of digits, and how their rows compare."""

from __future__ import annotations

import pytest
import torch

from trials.core.context import TrialContext
from trials.core.rows import checked
from trials.freeze_depth.birds.knobs import BirdData, BirdPretrainKnobs
from trials.freeze_depth.knobs import FreezeDepthKnobs
from trials.freeze_depth.measurements import MEASUREMENTS
from trials.freeze_depth.recipe import run

SMALL = {"width": 4, "epochs": 2, "learning_rate": 0.05, "batch_size": 16}
PRETRAIN = BirdPretrainKnobs(task="fg", images=60, epochs=1, batch_size=20, augmentation="crop1")
CPU = torch.device("cpu")


def knobs_of(**changes):
    return FreezeDepthKnobs(**{**SMALL, "data": BirdData(scale=0.02, test_per_group=10), **changes})


def rows_of(knobs, context=None):
    return list(checked(run(knobs, context or TrialContext()), MEASUREMENTS))


def whole(rows):
    return [row for row in rows if row["part"] == "all"]


def assert_close(rows, others, tolerance=1e-6):
    assert len(rows) == len(others)
    for row, other in zip(rows, others, strict=True):
        for name, value in row.items():
            if isinstance(value, float):
                assert value == pytest.approx(other[name], abs=tolerance), name
            else:
                assert value == other[name], name
