"""Augmentation in the batch: windows against slices, draws that depend on nothing else, rows of a fixed size."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torchvision.transforms.v2 import functional as oracle

from trials.augmentation_ratio.preparation import mixup_or_cutmix, unmixed
from trials.core.augmentation.draws import LANES, draws
from trials.core.augmentation.fixed_set import ARMS, FilledSet, filled
from trials.core.augmentation.knobs import distinct_count
from trials.core.augmentation.rows import filled_rows, subset_rows
from trials.core.augmentation.transforms import TRANSFORMS, shifted
from trials.core.data.examples import Examples
from trials.core.data.images import Images
from trials.core.layer_groups.groups import LayerGroups

SIZE = 40
RATIOS = (0.05, 0.2, 0.25, 0.3, 0.5, 0.7, 1.0)


@pytest.fixture
def images() -> Images:
    """Images without a black pixel and without symmetry, so that every shift and flip shows."""
    generator = torch.Generator().manual_seed(0)
    return Images(
        pixels=torch.randint(1, 256, (SIZE, 3, 12, 12), generator=generator, dtype=torch.uint8),
        labels=torch.randint(0, 3, (SIZE,), generator=generator),
        classes=3,
        white=255,
        slope=torch.full((3, 1, 1), 1 / 255),
        offset=torch.zeros(3, 1, 1),
    )


def training_set(images: Images, arm: str, ratio: float, transform: str = "flip+crop4", **settings) -> FilledSet:
    samples = Examples(inputs=images.pixels, labels=images.labels, classes=images.classes)
    return filled(samples, ARMS[arm], TRANSFORMS[transform], ratio=ratio, **{"seed": 0, **settings})


def realised(train: FilledSet, visit: int = 0) -> Tensor:
    return train.at(torch.arange(len(train)), visit).inputs


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
@pytest.mark.parametrize("flips", [False, True])
def test_windows_are_slices_of_the_padded_images(dtype: torch.dtype, flips: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(1, 256, (20, 3, 6, 5), generator=generator).to(dtype)
    down, right = torch.randint(0, 5, (2, 20), generator=generator)
    flipped = torch.rand(20, generator=generator) < 0.5 if flips else None
    taken = shifted(images, down, right, flipped, 2)
    padded = nn.functional.pad(images, (2, 2, 2, 2))
    for at in range(20):
        window = padded[at, :, down[at] : down[at] + 6, right[at] : right[at] + 5]
        mirrored = flipped is not None and flipped[at]
        assert torch.equal(taken[at], window.flip(-1) if mirrored else window)
    assert taken.dtype == dtype


def test_draws_are_functions_of_what_they_are_told() -> None:
    """And of neither the global generators nor how many others are drawn: a longer data set changes no row."""
    first = draws(3, 50, copy=2, visit=1)
    torch.manual_seed(5)
    np.random.seed(5)
    assert np.array_equal(draws(3, 80, copy=2, visit=1)[:50], first)
    others = [draws(4, 50, copy=2, visit=1), draws(3, 50, copy=1, visit=1), draws(3, 50, copy=2, visit=2)]
    others += [draws(3, 50, copy=2, visit=1, attempt=1), draws(3, 50, copy=2, visit=1, stream="other")]
    assert all(not np.isclose(first, other).all(1).any() for other in others)


def test_draws_are_pinned_across_versions() -> None:
    """Stored trials can be repeated only while these numbers stay."""
    assert (draws(0, 3, copy=1)[2] * 1000).astype(int).tolist() == [611, 355, 922, 554]


def test_draws_are_even_and_independent() -> None:
    sample = np.concatenate([draws(0, 20_000), draws(0, 20_000, copy=1), draws(1, 20_000)], axis=1)
    assert 0 <= sample.min() < sample.max() < 1
    counts = [np.histogram(lane, bins=9, range=(0, 1))[0] for lane in sample.T]
    assert np.abs(np.array(counts) * 9 / 20_000 - 1).max() < 0.1  # five standard deviations
    correlation = np.corrcoef(sample.T) - np.eye(3 * LANES)
    assert np.abs(correlation).max() < 0.035
    assert abs(np.corrcoef(sample[1:, 0], sample[:-1, 0])[0, 1]) < 0.035


def test_identities_are_as_rare_as_they_should_be() -> None:
    keeps = TRANSFORMS["flip+crop4"].keeps(torch.from_numpy(draws(0, 200_000)))
    assert float(keeps.double().mean()) == pytest.approx(1 / 162, rel=0.15)


def test_with_all_images_a_fixed_transform_is_of_none(images: Images) -> None:
    """A1."""
    plain = realised(training_set(images, "copies", 1.0))
    for arm in ("fixed_aug", "subset"):
        assert torch.equal(realised(training_set(images, arm, 1.0)), plain)
    assert not torch.equal(realised(training_set(images, "fixed_aug_all", 1.0)), plain)


@pytest.mark.parametrize("ratio", RATIOS)
def test_copies_are_a_weighted_subset(images: Images, ratio: float) -> None:
    """A2 and A3: where the number of copies is even, the weights are too."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        groups = LayerGroups({"hidden": nn.Sequential(nn.Flatten(), nn.Linear(432, 8)), "head": nn.Linear(8, 3)})
    groups.double()
    rows, base = filled_rows(SIZE, distinct_count(SIZE, ratio), 0), subset_rows(SIZE, distinct_count(SIZE, ratio), 0)
    weights = rows.multiplicities.double()

    def gradient(chosen: Tensor, shares: Tensor) -> Tensor:
        groups.zero_grad()
        outputs = groups(images.normalised(images.pixels[chosen]).double())
        losses = nn.functional.cross_entropy(outputs, images.labels[chosen], reduction="none")
        (losses @ (shares / shares.sum())).backward()
        return torch.cat([value.grad.flatten() for value in groups.parameters() if value.grad is not None])

    copies = gradient(rows.sources, torch.ones(SIZE, dtype=torch.float64))
    assert (copies - gradient(base.sources, weights)).abs().max() < 1e-12
    unweighted = (copies - gradient(base.sources, torch.ones_like(weights))).abs().max()
    assert unweighted < 1e-12 if SIZE % len(base) == 0 else unweighted > 1e-4


def test_fixed_transforms_are_fixed_and_leave_the_originals(images: Images) -> None:
    """A4: twice built, and at every visit; rows beyond the originals differ from them but for the rare identity."""
    train, again = (training_set(images, "fixed_aug", 0.3) for _ in range(2))
    assert torch.equal(realised(train, visit=0), realised(again, visit=7))
    originals = images.pixels[train.rows.originals]
    assert torch.equal(realised(train)[: len(originals)], originals)
    copies = realised(training_set(images, "copies", 0.3))
    changed = (realised(train) != copies).flatten(1).any(1)
    assert changed[len(originals) :].double().mean() > 0.9
    assert torch.equal(copies, images.pixels[train.rows.sources])


@pytest.mark.parametrize("smaller", RATIOS[:-1])
def test_subsets_are_nested(smaller: float) -> None:
    """A5."""
    few, all_ = (filled_rows(SIZE, distinct_count(SIZE, ratio), 3).originals for ratio in (smaller, 1.0))
    assert torch.equal(few, all_[: len(few)])
    assert len(few) == round(SIZE * smaller)
    assert len(set(all_.tolist())) == SIZE


@pytest.mark.parametrize(("ratio", "expected"), [(0.3, {3, 4}), (0.25, {4}), (0.5, {2}), (0.7, {1, 2}), (1.0, {1})])
def test_samples_are_shown_equally_often(ratio: float, expected: set[int]) -> None:
    """A6, and the multiplicities in closed form."""
    distinct = distinct_count(SIZE, ratio)
    rows = filled_rows(SIZE, distinct, 0)
    counts = [1 + (SIZE - 1 - position) // distinct for position in range(distinct)]
    assert rows.multiplicities.tolist() == counts
    assert set(counts) == expected
    assert len(rows) == SIZE
    assert subset_rows(SIZE, distinct, 0).multiplicities.tolist() == [1] * distinct


def test_a_copy_is_transformed_alike_at_every_ratio_and_in_every_batch(images: Images) -> None:
    """A7."""
    seen: dict[tuple[int, int], Tensor] = {}
    for ratio in RATIOS:
        train = training_set(images, "fixed_aug", ratio)
        order = torch.randperm(SIZE)
        batches = torch.cat([train.at(part).inputs for part in order.split(7)])[order.argsort()]
        assert torch.equal(batches, realised(train))
        for source, copy, pixels in zip(train.rows.sources.tolist(), train.rows.copies.tolist(), batches, strict=True):
            assert torch.equal(seen.setdefault((source, copy), pixels), pixels)


def test_only_fresh_transforms_change_from_visit_to_visit(images: Images) -> None:
    """What a loader that augments by default would turn a fixed arm into."""
    for arm in ARMS:
        train = training_set(images, arm, 0.5)
        same = torch.equal(realised(train, visit=0), realised(train, visit=1))
        assert same == (arm != "fresh_aug"), arm
    first = realised(training_set(images, "fresh_aug", 0.5), visit=0)
    assert torch.equal(first, realised(training_set(images, "fixed_aug_all", 0.5)))


def test_identities_can_be_drawn_again(images: Images) -> None:
    settings = {"ratio": 0.5, "transform": "flip"}
    plain, excluded = (training_set(images, "fixed_aug", exclude_identity=flag, **settings) for flag in (False, True))
    copies = realised(training_set(images, "copies", **settings))
    kept = (realised(plain) == copies).flatten(1).all(1)
    assert 0 < kept[20:].sum() < 20
    assert torch.equal(realised(excluded)[~kept], realised(plain)[~kept]), "what changes an image is not drawn again"
    assert torch.equal(realised(excluded)[20:], copies[20:].flip(-1))


def test_a_square_is_cut_out_around_its_centre(images: Images) -> None:
    numbers = torch.from_numpy(draws(0, SIZE))
    cut = TRANSFORMS["cutout8"].apply(images.pixels, numbers)
    for image, result, (down, right, *_) in zip(images.pixels, cut, numbers.tolist(), strict=True):
        top, left = int(down * 12) - 4, int(right * 12) - 4
        expected = image.clone()
        expected[:, max(0, top) : top + 8, max(0, left) : left + 8] = 0
        assert torch.equal(result, expected)


@pytest.mark.parametrize("width", [12, 8])
def test_rotations_are_bilinear_and_at_most_ten_degrees(images: Images, width: int) -> None:
    numbers, pixels = torch.from_numpy(draws(0, SIZE)), images.pixels[..., :width]
    turned = TRANSFORMS["rotation10"].apply(pixels, numbers)
    bilinear = partial(oracle.rotate, interpolation=oracle.InterpolationMode.BILINEAR)
    for image, result, number in zip(pixels.float(), turned, numbers[:, 3].tolist(), strict=True):
        assert torch.allclose(result, bilinear(image, (2 * number - 1) * 10), atol=1e-2)
    still = torch.full((SIZE, LANES), 0.5)
    assert torch.allclose(TRANSFORMS["rotation10"].apply(images.pixels, still), images.pixels.float(), atol=1e-3)


@pytest.mark.parametrize("name", TRANSFORMS)
def test_a_row_is_transformed_by_its_own_numbers(images: Images, name: str) -> None:
    """In any batch and order, and without a trace in the global generator; what keeps an image really does."""
    transform, numbers = TRANSFORMS[name], torch.from_numpy(draws(0, SIZE))
    torch.manual_seed(9)
    whole = transform.apply(images.pixels, numbers)
    untouched = torch.rand(3)
    torch.manual_seed(9)
    assert torch.equal(torch.rand(3), untouched)
    order = torch.randperm(SIZE)
    assert torch.allclose(
        transform.apply(images.pixels[order], numbers[order]).float(), whole[order].float(), atol=1e-3
    )
    keeps = transform.keeps(numbers)
    assert torch.equal(whole[keeps].float(), images.pixels[keeps].float())
    assert not torch.equal(whole.float(), images.pixels.float())


def test_mixtures_are_functions_of_seed_and_step(images: Images) -> None:
    inputs = images.normalised(images.pixels)
    mix: Callable[..., tuple[Tensor, Tensor]] = partial(mixup_or_cutmix, inputs, images.labels, 3)
    torch.manual_seed(1)
    mixed, labels = mix(0, 4)
    torch.manual_seed(2)
    assert torch.equal(mix(0, 4)[0], mixed)
    assert not torch.equal(mix(0, 5)[0], mixed)
    assert torch.allclose(labels.sum(1), torch.ones(SIZE))
    assert unmixed(inputs, images.labels, 3, 0, 4)[0] is inputs


def test_a_mixture_and_its_labels_have_one_share(images: Images) -> None:
    """Images of constant brightness: mixup mixes it in the labels' proportion, cutmix in its mean."""
    labels = torch.arange(3)
    inputs = labels.float()[:, None, None, None].expand(3, 3, 12, 12).contiguous()
    shares = []
    for step in range(20):
        mixed, soft = mixup_or_cutmix(inputs, labels, 3, 0, step)
        assert torch.allclose(mixed.mean((1, 2, 3)), soft @ torch.arange(3.0), atol=1e-5)
        shares.append(float(soft[0, 0]))
    assert math.isclose(max(shares), 1.0, abs_tol=0.2)
    assert len(set(shares)) > 15


@pytest.mark.parametrize("ratio", [0.001, 0.0])
def test_a_ratio_that_leaves_no_image_is_refused(images: Images, ratio: float) -> None:
    with pytest.raises(ValueError, match=rf"ratio={ratio:g} keeps 0 of 40 samples"):
        training_set(images, "copies", ratio)
