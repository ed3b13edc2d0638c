"""Names that knobs choose from are those of the tables that say what they stand for, in their order."""

from __future__ import annotations

import torch

from trials.core import choices
from trials.core.augmentation.transforms import TRANSFORMS
from trials.core.layer_groups.training import OPTIMISERS
from trials.core.losses.classification import LOSSES
from trials.core.networks.precision import PRECISIONS
from trials.core.rounds import settings
from trials.core.rounds.choice import METHODS
from trials.core.training.rules import REACHES, RULES


def test_names_are_those_of_the_tables():
    for names, *tables in (
        (choices.LOSSES, LOSSES),
        (choices.OPTIMIZERS, RULES, REACHES),
        (choices.GROUP_OPTIMIZERS, OPTIMISERS),
        (choices.PRECISIONS, PRECISIONS),
        (choices.TRANSFORMS, TRANSFORMS),
        (settings.METHODS, METHODS),
    ):
        for table in tables:
            assert tuple(names) == tuple(table)
    assert {name: dtype.itemsize for name, dtype in PRECISIONS.items()} == choices.PRECISIONS


def test_mirroring_transforms_are_those_that_turn_left_and_right_about():
    """Numbers in the middle neither shift nor rotate an image; of mirroring, they are the first half of a coin."""
    ramp = torch.arange(1, 17, dtype=torch.uint8).repeat(1, 3, 16, 1)
    shown = {name: each.apply(ramp, torch.tensor([[0.5, 0.5, 0.0, 0.5]]))[0, 0, 0] for name, each in TRANSFORMS.items()}
    assert {name for name, row in shown.items() if row[0] > row[-1]} == choices.MIRRORING
