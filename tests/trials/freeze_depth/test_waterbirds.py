"""Waterbirds: the released folder through the loader, a small CUB and Places through the builder, and composites."""

from __future__ import annotations

import csv
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from tests.trials.freeze_depth.bird_folders import write_parts, write_released
from trials.core.data.arrays import Arrays, ChoosesData, ValidatedArrays, load_arrays
from trials.core.data.waterbirds import circular_mask, pasted
from trials.freeze_depth.birds.composites import (
    BIRDS,
    OTHERS,
    PLACES,
    composite_birds,
    independent_composites,
    plain_images,
)
from trials.freeze_depth.birds.groups import TRAIN_COUNTS, VALIDATION_COUNTS, confounded_counts
from trials.freeze_depth.birds.knobs import BirdData, Composition
from trials.freeze_depth.birds.sets import as_seen, birds_of
from trials.freeze_depth.birds.waterbirds_builder import Sources, build, is_waterbird, on_background


@pytest.fixture(autouse=True)
def _cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_the_released_counts_follow_from_the_confounder():
    assert confounded_counts(3682, 1113, 0.95) == TRAIN_COUNTS == (3498, 184, 56, 1057)
    assert (sum(TRAIN_COUNTS), sum(VALIDATION_COUNTS)) == (4795, 1199)
    assert confounded_counts(920, 278, 0.95) == (874, 46, 14, 264)
    assert confounded_counts(100, 60, 0.5) == (50, 50, 30, 30)


def test_a_mask_of_zero_shows_the_background_and_of_one_the_bird():
    bird, background = np.random.default_rng(0).integers(0, 256, (2, 5, 7, 3), dtype=np.uint8)
    assert np.array_equal(pasted(bird, background, np.zeros((5, 7, 1))), background)
    assert np.array_equal(pasted(bird, background, np.ones((5, 7, 1))), bird)
    assert pasted(np.uint8([255]), np.uint8([255]), np.array([0.5])) == 255, "128 + 128 must not become 0"
    assert pasted(np.uint8([3]), np.uint8([4]), np.array([0.3])) == 1 + 3


def test_the_mask_is_a_soft_circle():
    mask = circular_mask(32)
    assert np.array_equal(mask, mask.T)
    assert np.array_equal(mask, mask[::-1])
    assert (mask[16, 16], mask[0, 0]) == (1, 0)
    radius = np.hypot(0.5, 14.5)
    assert mask[16, 30] == pytest.approx((15 - radius) / 2 + 0.5)


def test_the_builder_shows_background_and_bird_where_the_segmentation_says():
    random = np.random.default_rng(0)
    bird, place = (Image.fromarray(random.integers(0, 256, (20, 30, 3), dtype=np.uint8)) for _ in range(2))
    for level, shown in ((0, place), (255, bird)):
        mask = Image.new("L", (30, 20), level)
        assert np.array_equal(on_background(bird, mask, place), np.asarray(shown))


def test_a_background_is_cut_to_the_birds_proportions_about_its_centre():
    place = np.zeros((40, 90, 3), np.uint8)
    place[:, 15:75] = 200  # the middle 60 x 40 has the proportions of 30 x 20
    bird = Image.new("RGB", (30, 20))
    assert (on_background(bird, Image.new("L", (30, 20), 0), Image.fromarray(place)) == 200).all()


def test_species_are_waterbirds_by_name_with_the_released_mistakes():
    assert is_waterbird("001.Black_footed_Albatross")
    assert not is_waterbird("047.American_Goldfinch")
    for mistaken in ("021.Eastern_Towhee", "088.Western_Meadowlark", "102.Western_Wood_Pewee"):
        assert is_waterbird(mistaken)
        assert not is_waterbird(mistaken, fix_labels=True)
    assert is_waterbird("144.Common_Tern", fix_labels=True)


def test_the_builder_writes_what_the_loader_reads(tmp_path):
    sources = Sources(**write_parts(tmp_path / "parts"))
    birds = build(sources, tmp_path / "birds", confounder=0.75, seed=1)
    counts = Counter((bird.split, bird.y, bird.place) for bird in birds)
    assert [sum(counts[0, y, a] + counts[1, y, a] for a in (0, 1)) for y in (0, 1)] == [20, 20]
    for split, strength in ((0, 0.75), (1, 0.5), (2, 0.5)):
        sizes = [counts[split, y, 0] + counts[split, y, 1] for y in (0, 1)]
        expected = confounded_counts(*sizes, strength)
        assert tuple(counts[split, y, a] for y in (0, 1) for a in (0, 1)) == expected
    assert sum(counts[1, y, a] for y in (0, 1) for a in (0, 1)) == 8, "a fifth of official training"
    with (tmp_path / "birds" / "metadata.csv").open() as stream:
        places = [row["place_filename"] for row in csv.DictReader(stream)]
    assert len(set(places)) == len(places), "every bird has its own background"
    arrays = load_arrays("waterbirds", str(tmp_path / "birds"))
    assert arrays.train_inputs.shape[1:] == (3, 224, 224)
    BirdData(name="waterbirds", confounder_strength=0.75).refuse_misfit(arrays)
    assert np.bincount(arrays.test_labels, minlength=4).tolist() == [counts[2, y, a] for y in (0, 1) for a in (0, 1)]
    with pytest.raises(ValueError, match=r"has a metadata.csv already"):
        build(sources, tmp_path / "birds")


def test_fixed_labels_change_the_classes(tmp_path):
    sources = Sources(**write_parts(tmp_path / "parts", landbird="088.Western_Meadowlark"))
    waterbirds = [
        sum(bird.y for bird in build(sources, tmp_path / str(fix), fix_labels=fix, seed=0, confounder=0.5))
        for fix in (False, True)
    ]
    assert waterbirds == [60, 30]


def test_too_few_backgrounds_are_refused(tmp_path):
    parts = write_parts(tmp_path / "parts", backgrounds=3)
    with pytest.raises(ValueError, match=r"bamboo_forest, forest/broadleaf of .* have 6 images, \d+ are needed"):
        build(Sources(**parts), tmp_path / "birds")


def test_the_loader_keeps_splits_groups_and_the_centre(tmp_path):
    write_released(tmp_path, per_group=2)
    arrays = load_arrays("waterbirds", str(tmp_path))
    assert isinstance(arrays, ValidatedArrays)
    for split in ("train", "validation", "test"):
        assert getattr(arrays, f"{split}_labels").tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    # Images are 448 x 224 with red margins that the crop takes off.
    assert arrays.train_inputs[:, 0].max() < 128
    with pytest.raises(
        ValueError, match=r"=0.95 makes training groups of \(4, 0, 0, 4\), and these .* have \(2, 2, 2, 2\)"
    ):
        birds_of(arrays, BirdData(name="waterbirds"))
    birds = birds_of(arrays, BirdData(name="waterbirds", confounder_strength=0.5))
    assert birds.validation.counts == (2, 2, 2, 2)
    assert np.array_equal(birds.test.images, arrays.test_inputs)


def _without(column):
    def change(rows):
        return [{name: value for name, value in row.items() if name != column} for row in rows]

    return change


def _with(**changes):
    return lambda rows: [{**rows[0], **changes}, *rows[1:]]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_without("place"), "lacks the columns place; it must have img_id, img_filename, y, split, place"),
        (_with(y="2"), "entry 1: y and place must be 0 or 1, split 0 to 2, got .*'y': '2'"),
        (_with(img_filename="no/such.jpg"), r"1 of 24 images of metadata.csv are not at .*: first no/such.jpg"),
        (lambda rows: [row for row in rows if row["split"] != "1"], "has no images of validation"),
    ],
)
def test_a_folder_that_is_not_waterbirds_is_named_in_one_line(tmp_path, change, message):
    write_released(tmp_path, per_group=2, change=change)
    with pytest.raises(ValueError, match=message) as error:
        load_arrays("waterbirds", str(tmp_path))
    assert "\n" not in str(error.value)


def test_without_a_folder_there_is_nothing_to_read(tmp_path):
    with pytest.raises(ValueError, match=r"give data.path"):
        load_arrays("waterbirds")
    with pytest.raises(ValueError, match=r"cannot read metadata.csv"):
        load_arrays("waterbirds", str(tmp_path))


@pytest.fixture(scope="module")
def numbered():
    """Return images whose only value is their own number, so that a composite tells what it is made of."""
    count, test = 1500, 600
    values = np.arange(count) % 250
    images = np.broadcast_to(values[:, None, None, None], (count, 1, 8, 8)).astype(np.uint8)
    labels = (np.arange(count) // 150).astype(np.int64)
    test_labels = (np.arange(test) // 60).astype(np.int64)
    return Arrays(train_inputs=images, train_labels=labels, test_inputs=images[:test], test_labels=test_labels)


def test_composites_have_the_groups_asked_for_and_use_no_image_twice(numbered):
    birds = composite_birds(numbered, Composition(scale=0.02, strength=0.95, test_per_group=5, draw=0))
    assert birds.train.counts == confounded_counts(74, 22, 0.95)
    assert birds.validation.counts == tuple(round(0.02 * count) for count in VALIDATION_COUNTS)
    assert birds.test.counts == (5, 5, 5, 5)
    assert birds.train.images.shape[1:] == (1, 16, 16)
    fronts = [(group // 2, int(image[0, 8, 8])) for of in _made_of_training(birds) for group, image in of]
    behinds = [(group % 2, int(image[0, 0, 0])) for of in _made_of_training(birds) for group, image in of]
    for used, classes in ((fronts, BIRDS), (behinds, PLACES)):
        assert len(set(used)) == len(used), "no image serves twice"
        allowed = {(attribute, int(value)) for attribute in (0, 1) for value in _values(numbered, classes[attribute])}
        assert set(used) <= allowed


def _made_of_training(birds):
    return [zip(of.groups, of.images, strict=True) for of in (birds.train, birds.validation)]


def _values(arrays, label):
    return arrays.train_inputs[arrays.train_labels == label, 0, 0, 0]


def test_pretraining_sees_other_classes_drawn_apart(numbered):
    images, front, behind = independent_composites(numbered, "train", 400, 0)
    assert set(front) == set(behind) == set(range(6))
    assert abs(np.corrcoef(front, behind)[0, 1]) < 0.2
    for shown, labels in ((images[:, 0, 8, 8], front), (images[:, 0, 0, 0], behind)):
        expected = [set(_values(numbered, OTHERS[label]).tolist()) for label in labels]
        assert all(int(value) in values for value, values in zip(shown, expected, strict=True))
    plain, classes = plain_images(numbered, "test", 50, 0)
    assert plain.shape == (50, 1, 8, 8)
    assert classes.max() <= 5


def test_too_few_images_are_refused(numbered):
    with pytest.raises(ValueError, match=r"take \d+ train images of class 4 and there are 150; lower data_scale"):
        composite_birds(numbered, Composition(scale=0.1, strength=0.95, test_per_group=5, draw=0))
    with pytest.raises(ValueError, match=r"takes 1000 train images and classes .* have 900; lower pretrain_images"):
        independent_composites(numbered, "train", 500, 0)


def test_data_that_do_not_suit_are_refused_before_any_composite_is_made(numbered):
    assert isinstance(BirdData(), ChoosesData)
    BirdData(scale=0.02, test_per_group=5).refuse_misfit(numbered)
    with pytest.raises(ValueError, match=r"take 200 test images of class 4 and there are 60; lower data_scale"):
        BirdData(scale=0.02, test_per_group=100).refuse_misfit(numbered)


def test_images_are_averaged_down_and_resized_up_to_bytes():
    image = np.array([[[[0, 10], [20, 30]]]], np.uint8)
    assert as_seen(image, 1).tolist() == [[[[15]]] * 3]
    assert as_seen(image, 0).shape == (1, 3, 2, 2)
    assert as_seen(np.full((2, 3, 4, 4), 255, np.uint8), 8).min() == 255
