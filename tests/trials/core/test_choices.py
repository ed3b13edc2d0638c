"""Names that knobs choose from are those of the tables that say what they stand for, in their order."""

from __future__ import annotations

import pytest
import torch

from trials.augmentation_ratio import knobs as augmentation
from trials.augmentation_ratio.image_networks import IMAGE_NETWORKS
from trials.augmentation_ratio.preparation import MIXINGS
from trials.core import choices
from trials.core.augmentation.fixed_set import ARMS
from trials.core.augmentation.transforms import TRANSFORMS
from trials.core.layer_groups.training import OPTIMIZERS
from trials.core.losses.classification import LOSSES
from trials.core.networks.precision import PRECISIONS
from trials.core.rounds import settings
from trials.core.rounds.choice import METHODS
from trials.core.training.rules import REACHES, RULES
from trials.freeze_depth.birds.knobs import BirdPretrainKnobs
from trials.freeze_depth.birds.pretraining import PRETRAINING
from trials.freeze_depth.contradictions import SOURCES
from trials.freeze_depth.fine_tuning.augmentations import AUGMENTATIONS
from trials.freeze_depth.knobs import FreezeDepthKnobs
from trials.freeze_depth.networks.backbones import _BUILDERS
from trials.freeze_depth.networks.known import NETWORKS as KNOWN
from trials.freeze_depth.networks.weights import WEIGHTS
from trials.gauss_newton_damping import knobs as damping
from trials.gauss_newton_damping import objective, proximal, solvers, step_rules
from trials.k_phase_diagram import knobs as k_phase
from trials.k_phase_diagram.preparation import NETWORKS
from trials.multi_view import knobs as multi_view
from trials.multi_view.noise import NOISES
from trials.spurious_cat_dog import feature
from trials.spurious_cat_dog import knobs as cat_dog


def _column(knobs, name):
    return next(declared.choices for declared in knobs.declared() if declared.name == name)


@pytest.mark.parametrize(
    ("names", "table"),
    [
        (choices.LOSSES, LOSSES),
        (choices.OPTIMIZERS, RULES),
        (choices.OPTIMIZERS, REACHES),
        (choices.GROUP_OPTIMIZERS, OPTIMIZERS),
        (choices.PRECISIONS, PRECISIONS),
        (choices.TRANSFORMS, TRANSFORMS),
        (settings.METHODS, METHODS),
        (k_phase.NETWORKS, NETWORKS),
        (augmentation.ARMS, ARMS),
        (augmentation.MIXINGS, MIXINGS),
        (augmentation.NETWORKS, IMAGE_NETWORKS),
        (cat_dog.KINDS, feature.PATCHES),
        (damping.STEP_KINDS, proximal.STEP_KINDS),
        (damping.STEP_RULES, step_rules.STEP_RULES),
        (damping.CODINGS, objective.CODINGS),
        (damping.NETWORKS, objective.NETWORKS),
        (damping.SOLVERS[1:], {**solvers.QUADRATIC_SOLVERS, **proximal.MOVES}),
        (multi_view.NOISES, NOISES),
        (KNOWN, _BUILDERS),
        (SOURCES[2:], WEIGHTS),
        (_column(BirdPretrainKnobs, "task")[1:], PRETRAINING),
        (_column(FreezeDepthKnobs, "augmentation"), AUGMENTATIONS),
    ],
)
def test_names_are_those_of_the_tables(names, table):
    assert set(names) == set(table)


def test_bytes_of_a_precision_are_those_of_its_numbers():
    assert {name: dtype.itemsize for name, dtype in PRECISIONS.items()} == choices.PRECISIONS


def test_mirroring_transforms_are_those_that_turn_left_and_right_about():
    """Numbers in the middle neither shift nor rotate an image; of mirroring, they are the first half of a coin."""
    ramp = torch.arange(1, 17, dtype=torch.uint8).repeat(1, 3, 16, 1)
    shown = {name: each.apply(ramp, torch.tensor([[0.5, 0.5, 0.0, 0.5]]))[0, 0, 0] for name, each in TRANSFORMS.items()}
    assert {name for name, row in shown.items() if row[0] > row[-1]} == choices.MIRRORING
