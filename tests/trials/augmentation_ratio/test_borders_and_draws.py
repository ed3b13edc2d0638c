"""What the ratio's outcome depends on beside the ratio: the border that a transform shows, and the digits drawn."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch.nn.functional import pad

from trials.augmentation_ratio.knobs import AugmentationKnobs
from trials.augmentation_ratio.preparation import network_and_images
from trials.core.augmentation.draws import draws
from trials.core.augmentation.fixed_set import ARMS, filled
from trials.core.augmentation.transforms import TRANSFORMS, on_grey
from trials.core.context import TrialContext
from trials.core.data.arrays import load_arrays
from trials.core.data.digits import DRAWS
from trials.core.data.examples import Examples
from trials.core.data.images import Images
from trials.core.data.knobs import DataKnobs

SIZE, PADDING = 30, 4


@pytest.fixture
def images() -> Images:
    generator = torch.Generator().manual_seed(0)
    return Images(
        pixels=torch.randint(0, 256, (SIZE, 3, 8, 8), generator=generator, dtype=torch.uint8),
        labels=torch.zeros(SIZE, dtype=torch.int64),
        classes=2,
        slope=torch.tensor([0.016, 0.017, 0.018]).view(3, 1, 1),
        offset=torch.tensor([-1.9, -2.0, -1.8]).view(3, 1, 1),
    )


def test_a_grey_border_is_that_of_zeros_around_normalised_images(images):
    transform = on_grey(TRANSFORMS["flip+crop4"], images.grey)
    samples = Examples(inputs=images.pixels, labels=images.labels, classes=images.classes)
    fresh = filled(samples, ARMS["fresh_aug"], transform, ratio=1.0, seed=3)
    inputs = images.normalised(fresh.at(torch.arange(SIZE), visit=2).inputs)
    sources = fresh.rows.sources
    padded = pad(images.normalised(images.pixels), (PADDING,) * 4)[sources]
    numbers = torch.from_numpy(draws(3, SIZE, visit=2))[sources]
    for window, around, (down, right, mirrored, _) in zip(inputs, padded, numbers.tolist(), strict=True):
        top, left = int(down * 9), int(right * 9)
        expected = around[:, top : top + 8, left : left + 8]
        expected = expected.flip(2) if mirrored < 0.5 else expected
        torch.testing.assert_close(window, expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", [name for name in TRANSFORMS if name != "advanced"])
def test_grey_replaces_black_and_nothing_else(images, name):
    numbers = torch.from_numpy(draws(0, SIZE))
    black = TRANSFORMS[name].apply(images.pixels + 1, numbers)
    grey = on_grey(TRANSFORMS[name], images.grey).apply(images.pixels + 1, numbers)
    shown = (black != 0).all(1, keepdim=True)
    if name == "rotation10":  # at the rim of a turned image, black and grey are mixed into what is shown
        shown = torch.zeros_like(shown)
        shown[..., 2:-2, 2:-2] = True
    torch.testing.assert_close(torch.where(shown, grey, 0), torch.where(shown, black, 0).float(), rtol=0, atol=1e-3)
    hidden = (black == 0).all(1, keepdim=True)
    expected = images.grey.expand(grey.shape)
    torch.testing.assert_close(torch.where(hidden, grey, 0), torch.where(hidden, expected, 0), rtol=0, atol=1e-3)


def test_the_border_is_told_and_bytes_have_a_black_one():
    data = DataKnobs(name="jittered_digits", train_size=60, test_size=20)
    context = TrialContext(arrays=load_arrays)
    assert network_and_images(AugmentationKnobs(data=data), context)[1].transform.padding_pixel == 0
    assert network_and_images(AugmentationKnobs(data=data, border="grey"), context)[1].transform.padding_pixel is None
    with pytest.raises(ValueError, match="border is black; take border=black"):
        AugmentationKnobs(border="grey", transform="advanced", data=DataKnobs(name="cifar10"))


def test_draws_of_jittered_digits_split_and_place_the_digits_anew():
    draws, first = load_arrays("jittered_digit_draws"), load_arrays("jittered_digits")
    train, test = (part.reshape(DRAWS, -1, 1, 12, 12) for part in (draws.train_inputs, draws.test_inputs))
    assert np.array_equal(train[0], first.train_inputs)
    assert np.array_equal(draws.test_labels[: len(first.test_labels)], first.test_labels)
    ink = {tuple(np.sort(part.sum((1, 2, 3), dtype=np.int64))) for part in np.concatenate([train, test], 1)}
    assert len(ink) == 1, "every draw has the same digits"
    assert len({part.tobytes() for part in train}) == DRAWS
    assert len({tuple(np.sort(part.sum((1, 2, 3), dtype=np.int64))) for part in train}) == DRAWS, "and other splits"
    with pytest.raises(ValueError, match="jittered_digit_draws comes with scikit-learn and takes no path"):
        load_arrays("jittered_digit_draws", "/anywhere")


def test_jittered_digits_are_digits_at_other_places() -> None:
    jittered, plain = load_arrays("jittered_digits"), load_arrays("digits")
    assert jittered.train_inputs.shape == (1000, 1, 12, 12)
    sums = [arrays.train_inputs.sum((1, 2, 3), dtype=np.int64) for arrays in (jittered, plain)]
    assert np.array_equal(*sums)
    offsets = {_offset(*pair) for pair in zip(jittered.test_inputs, plain.test_inputs, strict=True)}
    assert offsets == set(itertools.product(range(5), repeat=2))
    with pytest.raises(ValueError, match="takes no path"):
        load_arrays("jittered_digits", "/anywhere")


def _offset(canvas: np.ndarray, digit: np.ndarray) -> tuple[int, int]:
    return next(place for place in _places() if np.array_equal(_window(canvas, *place), digit))


def _places() -> Iterator[tuple[int, int]]:
    return itertools.product(range(5), repeat=2)  # type: ignore[return-value]


def _window(canvas: np.ndarray, down: int, right: int) -> np.ndarray:
    return canvas[:, down : down + 8, right : right + 8]
