"""Networks of images: the published sizes, and initial weights that are a function of the seed."""

from __future__ import annotations

import pytest
import torch

from trials.augmentation_ratio.image_networks import IMAGE_NETWORKS, cait_xxs36_groups, vit_tiny_groups
from trials.core.layer_groups.groups import LayerGroups
from trials.core.streams import drawn_from


def parameters(groups: LayerGroups) -> int:
    return sum(value.numel() for value in groups.parameters())


@pytest.mark.parametrize(
    ("name", "shape", "count"),
    [
        ("mlp", (1, 12, 12), 144 * 128 + 128 + 128 * 10 + 10),
        ("cnn3", (3, 32, 32), 27 * 12 + 108 * 24 + 216 * 48 + 2 * (12 + 24 + 48) + 768 * 10 + 10),
        ("resnet18", (3, 32, 32), 11_181_642),
        ("resnet18_cifar", (3, 32, 32), 11_181_642 - 64 * 3 * (49 - 9)),
        ("vit_tiny", (3, 32, 32), 5_362_762),
        ("cait_xxs36", (3, 32, 32), 16_945_066),
    ],
)
def test_networks_have_the_published_sizes(name: str, shape: tuple[int, ...], count: int) -> None:
    assert parameters(IMAGE_NETWORKS[name](shape, 10)) == count


def test_at_224_pixels_transformers_have_the_published_patches() -> None:
    shape = (3, 224, 224)
    assert parameters(vit_tiny_groups(shape, 10)) == 5_526_346
    assert parameters(cait_xxs36_groups(shape, 10)) == 17_108_650


def test_a_stem_for_small_images_keeps_their_places() -> None:
    groups = IMAGE_NETWORKS["resnet18_cifar"]((3, 32, 32), 10)
    trunk = groups.get_submodule("trunk")
    assert trunk.forward_features(torch.zeros(2, 3, 32, 32)).shape == (2, 512, 4, 4)


@pytest.mark.parametrize("name", IMAGE_NETWORKS)
def test_initial_weights_are_a_function_of_the_seed(name: str) -> None:
    networks = []
    for seed in (0, 0, 1):
        with drawn_from(seed, "initialisation"):
            networks.append(IMAGE_NETWORKS[name]((3, 32, 32), 10).state_dict())
    one, same, other = networks
    assert all(torch.equal(value, same[key]) for key, value in one.items())
    assert not all(torch.equal(value, other[key]) for key, value in one.items())


@pytest.mark.parametrize(("name", "side"), [("cnn3", 12), ("vit_tiny", 30), ("cait_xxs36", 30)])
def test_sides_that_do_not_divide_are_refused(name: str, side: int) -> None:
    with pytest.raises(ValueError, match=f"{side}x{side}"):
        IMAGE_NETWORKS[name]((3, side, side), 10)
