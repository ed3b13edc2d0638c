"""Resized crops: pixels against torchvision's, boxes against the law that they are drawn by."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor
from torchvision.transforms import RandomResizedCrop
from torchvision.transforms.v2 import functional as oracle

from trials.freeze_depth.fine_tuning.augmentations import AREA, ASPECT, Crops, drawn_crops, resized

MANY, LARGE = 20_000, 10_000  # pixels enough that whole ones do not show in the law
STEEPEST = math.log(ASPECT[1])


def _images(count: int, height: int, width: int) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (count, 3, height, width), generator=generator, dtype=torch.uint8)


def _boxes(crops: Crops) -> Tensor:
    return torch.stack(crops[:4], 1)


@pytest.fixture(scope="module")
def many() -> Crops:
    return drawn_crops(0, MANY, 0, LARGE, LARGE)


@pytest.mark.parametrize(("height", "width"), [(16, 16), (9, 14)])
def test_the_whole_image_comes_back_to_the_bit(height: int, width: int) -> None:
    images = _images(4, height, width)
    start, flipped = torch.zeros(4, dtype=torch.int64), torch.tensor([False, True, False, True])
    whole = Crops(start, start, start + height, start + width, flipped)
    taken = resized(images, whole)
    assert taken.dtype == torch.float32
    assert torch.equal(taken, torch.where(flipped[:, None, None, None], images.flip(3), images).float())


@pytest.mark.parametrize(("height", "width"), [(32, 32), (20, 41), (64, 30)])
def test_a_drawn_box_is_resized_as_torchvision_resizes_it(height: int, width: int) -> None:
    images = _images(60, height, width)
    crops = drawn_crops(0, 60, 0, height, width)
    assert len(set(crops.flipped.tolist())) == 2
    taken = resized(images, crops)
    for at, (top, left, rows, columns) in enumerate(_boxes(crops).tolist()):
        expected = oracle.resized_crop(images[at].float(), top, left, rows, columns, [height, width], antialias=True)
        expected = oracle.horizontal_flip(expected) if crops.flipped[at] else expected
        torch.testing.assert_close(taken[at], expected, atol=2e-3, rtol=0)


@pytest.mark.parametrize("side", [1, 5, 40])
def test_a_small_box_is_enlarged_and_a_long_one_shrunk_as_torchvision_does(side: int) -> None:
    """Boxes of any shape, beyond those that are drawn."""
    images = _images(3, 40, 40)
    one = torch.ones(3, dtype=torch.int64)
    crops = Crops(0 * one, 0 * one, side * one, (41 - side) * one, one < 0)
    expected = oracle.resized_crop(images.float(), 0, 0, side, 41 - side, [40, 40], antialias=True)
    torch.testing.assert_close(resized(images, crops), expected, atol=2e-3, rtol=0)


def test_half_precision_of_the_network_leaves_the_images_alone() -> None:
    images, crops = _images(8, 16, 16), drawn_crops(0, 8, 0, 16, 16)
    with torch.autocast("cpu", torch.bfloat16):
        half = resized(images, crops)
    assert torch.equal(half, resized(images, crops))


def _distance(values: np.ndarray, law: np.ndarray) -> float:
    """Return Kolmogorov's distance, in units of what chance makes of it.

    Args:
        values: Drawn.
        law: Probability of at most each of the values in their order.
    """
    steps = np.arange(len(values) + 1) / len(values)
    return float(max((steps[1:] - law).max(), (law - steps[:-1]).max()) * math.sqrt(len(values)))


def _law_of_share(share: np.ndarray) -> np.ndarray:
    """Return the probability of a box at most so large, of a square image: it fits if |log aspect| <= -log share."""
    everywhere = 1 / ASPECT[1]

    def mass(upto: np.ndarray) -> np.ndarray:
        steep = np.minimum(upto, everywhere) - AREA[0]
        flat = np.maximum(upto, everywhere)
        return STEEPEST * steep + (flat - flat * np.log(flat)) - (everywhere - everywhere * math.log(everywhere))

    return mass(share) / mass(np.ones(1))


def _law_of_steepness(steepness: np.ndarray) -> np.ndarray:
    """Return the probability that |log aspect| is at most so large: shares up to exp(-|log aspect|) fit."""

    def mass(upto: np.ndarray) -> np.ndarray:
        return 1 - np.exp(-upto) - AREA[0] * upto

    return mass(steepness) / mass(np.array([STEEPEST]))


def test_areas_and_shapes_follow_the_law_of_torchvisions_boxes(many: Crops) -> None:
    share = np.sort((many.height * many.width).numpy() / LARGE**2)
    assert AREA[0] * 0.999 < share[0] < share[-1] <= 1
    assert _distance(share, _law_of_share(share)) < 1.63, "what one draw in a hundred exceeds"
    aspect = np.log((many.width / many.height).numpy())
    assert np.abs(aspect).max() < STEEPEST * 1.001
    steepness = np.sort(np.abs(aspect))
    assert _distance(steepness, _law_of_steepness(steepness)) < 1.63
    assert abs((aspect > 0).mean() - 0.5) < 3 / math.sqrt(4 * MANY)


def test_places_and_mirrors_are_drawn_evenly(many: Crops) -> None:
    places = []
    for start, length in ((many.top, many.height), (many.left, many.width)):
        room = LARGE - length
        assert bool(((start >= 0) & (start <= room)).all())
        wide = room > 200
        places.append(((start + 0.5) / (room + 1))[wide].numpy())
        ordered = np.sort(places[-1])
        assert _distance(ordered, ordered) < 1.63
    tolerance = 3 / math.sqrt(4 * MANY)
    assert abs(many.flipped.float().mean() - 0.5) < tolerance
    assert abs(np.corrcoef(many.flipped, many.width)[0, 1]) < 3 / math.sqrt(MANY)


def test_torchvision_draws_the_same_areas(many: Crops) -> None:
    """The law above is ours to derive: torchvision's own draws lie as near to it."""
    image = torch.zeros(1, 1, 1).expand(1, LARGE, LARGE)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        drawn = np.array([RandomResizedCrop.get_params(image, list(AREA), list(ASPECT)) for _ in range(2000)])
    share = np.sort(drawn[:, 2] * drawn[:, 3] / LARGE**2)
    assert _distance(share, _law_of_share(share)) < 1.63


@pytest.mark.parametrize(("height", "width"), [(10, 1000), (1000, 10)])
def test_where_no_box_fits_the_middle_is_taken(height: int, width: int) -> None:
    crops = drawn_crops(0, 5, 0, height, width)
    expected = RandomResizedCrop.get_params(torch.zeros(1, height, width), list(AREA), list(ASPECT))
    assert _boxes(crops).tolist() == [list(expected)] * 5


def test_a_box_is_a_function_of_seed_sample_and_visit() -> None:
    """In images twice as wide as high many a box is drawn again: how often others are must not matter."""
    size = (40, 80)
    crops = drawn_crops(0, 50, 3, *size)
    assert torch.equal(_boxes(drawn_crops(0, 500, 3, *size))[:50], _boxes(crops))
    assert torch.equal(drawn_crops(0, 500, 3, *size).flipped[:50], crops.flipped)
    for other in (drawn_crops(1, 50, 3, *size), drawn_crops(0, 50, 4, *size)):
        assert (_boxes(other) != _boxes(crops)).any(1).all()
        assert 5 < (other.flipped != crops.flipped).sum() < 45
    boxes = _boxes(crops)
    assert bool(((boxes[:, 0] + boxes[:, 2] <= 40) & (boxes[:, 1] + boxes[:, 3] <= 80)).all())


def test_a_batch_takes_the_boxes_of_its_rows() -> None:
    images, crops = _images(10, 16, 16), drawn_crops(0, 10, 0, 16, 16)
    rows = torch.tensor([7, 2, 2])
    torch.testing.assert_close(resized(images[rows], crops.of(rows)), resized(images, crops)[rows])
