"""The spaces of the augmentation ratio: the published table has its nine cells, and nothing is trained twice."""

from __future__ import annotations

from collections import Counter

from analysis.core.augmentation_levels import level_of
from raysweep.augmentation_ratio import STUDY
from raysweep.service.configuration import read_settings
from raysweep.service.plan import planned
from trials.augmentation_ratio import AugmentationKnobs


def knobs_of(space: str) -> list[AugmentationKnobs]:
    grid = read_settings(STUDY, [f"space={space}", "axes.seed=[0]"]).planner.grid
    return [trial.knobs for trial in planned(STUDY, grid, {}).trials]


def test_levels_are_the_published_table() -> None:
    cells = knobs_of("levels")
    levels = Counter((each.network, level_of(each.aug_arm, each.transform, each.mixing)) for each in cells)
    networks = ("resnet18_cifar", "cait_xxs36", "vit_tiny")
    assert levels == dict.fromkeys([(name, level) for name in networks for level in ("none", "basic", "advanced")], 1)
    for each in cells:
        residual, advanced = each.network == "resnet18_cifar", each.transform == "advanced"
        settings = (each.optimizer, each.learning_rate, each.weight_decay, each.schedule, each.warm_share)
        assert settings == (("sgd", 0.1, 5e-4, "linear", 0.15) if residual else ("adamw", 5e-4, 0.05, "cosine", 0.05))
        assert (each.epochs, each.label_smoothing) == ((300, 0.1) if advanced else (200, 0.0))
        assert (each.ratio, each.data.name, each.data.train_size) == (1, "cifar10", 0)


def test_copies_are_trained_at_one_transform_and_all_images_once() -> None:
    for space in ("transforms", "cifar10_transforms"):
        cells = knobs_of(space)
        assert len({each.transform for each in cells if each.aug_arm == "copies"}) == 1
        assert sum(each.ratio == 1 for each in cells) == 1
    assert sum(each.ratio == 1 for each in knobs_of("laptop")) == 2, "copies and fresh transforms"
