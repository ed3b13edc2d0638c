"""The spaces of the augmentation ratio: the published table has its nine cells, and nothing is trained twice."""

from __future__ import annotations

from collections import Counter

import pytest

from analysis.augmentation_ratio.augmentation_levels import level_of
from raysweep.augmentation_ratio import STUDY
from tests.studies import sweep_of
from trials.augmentation_ratio.image_networks import IMAGE_NETWORKS
from trials.augmentation_ratio.knobs import AugmentationKnobs


def knobs_of(space: str) -> list[AugmentationKnobs]:
    return [trial.knobs for trial in sweep_of(STUDY, space, "axes.seed=[0]")]  # type: ignore[misc]


def test_levels_are_the_published_table() -> None:
    cells = knobs_of("levels")
    levels = Counter((each.network, level_of(each.augmentation, each.transform, each.mixing)) for each in cells)
    networks = ("resnet18_cifar", "cait_xxs36", "vit_tiny")
    assert levels == dict.fromkeys([(name, level) for name in networks for level in ("none", "basic", "advanced")], 1)
    for each in cells:
        residual, advanced = each.network == "resnet18_cifar", each.transform == "advanced"
        settings = (each.optimizer, each.learning_rate, each.weight_decay, each.schedule, each.warm_share)
        assert settings == (("sgd", 0.1, 5e-4, "linear", 0.15) if residual else ("adamw", 5e-4, 0.05, "cosine", 0.05))
        assert each.epochs == (300 if advanced and not residual else 200)
        assert each.label_smoothing == (0.1 if advanced else 0.0)
        assert (each.ratio, each.data.name, each.data.train_size) == (1, "cifar10", 0)


@pytest.mark.parametrize(
    ("network", "small", "published"),
    [("resnet18_cifar", 11, 11), ("cait_xxs36", 17, 17), ("vit_tiny", 5, 6)],
)
def test_networks_of_the_levels_are_as_large_as_the_published_ones(network: str, small: int, published: int) -> None:
    """In millions; transformers of 224 pixels, as published, have more places and larger patches than of 32."""
    network_of = IMAGE_NETWORKS[network]
    assert network in {each.network for each in knobs_of("levels")}
    for side, millions in ((32, small), (224, published)):
        size = sum(value.numel() for value in network_of((3, side, side), 10).parameters())
        assert round(size / 1e6) == millions


def test_small_levels_are_three_and_share_their_first_two_with_the_ratios() -> None:
    cells = knobs_of("levels_small")
    assert [level_of(each.augmentation, each.transform, each.mixing) for each in cells] == ["none", "basic", "advanced"]
    of_ratios = [each for each in knobs_of("cifar10_subset") if each.ratio == 1]
    assert [each for each in cells if each in of_ratios] == cells[:2], "trained once for both"
    differing = {name for name, value in vars(cells[2]).items() if value != vars(cells[1])[name]}
    assert differing == {"transform", "mixing", "label_smoothing"}


def test_copies_are_trained_at_one_transform_and_all_images_once() -> None:
    for space in ("transforms", "cifar10_transforms"):
        cells = knobs_of(space)
        assert len({each.transform for each in cells if each.augmentation == "copies"}) == 1
        assert sum(each.ratio == 1 for each in cells) == 1
    assert sum(each.ratio == 1 for each in knobs_of("laptop")) == 2, "copies and fresh transforms"
