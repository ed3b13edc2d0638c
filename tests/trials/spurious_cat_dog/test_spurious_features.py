"""What is added to images, and what is measured of it: by definition, with dense oracles in float64."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from torch import nn

from trials.core.augmentation.draws import draws
from trials.core.augmentation.transforms import TRANSFORMS, shifted
from trials.core.context import TrialContext
from trials.core.data.arrays import Arrays, load_arrays
from trials.core.data.knobs import DataKnobs
from trials.core.layer_groups.groups import LayerGroups
from trials.core.layer_groups.prefix import forget_activations, prefix_activations
from trials.core.layer_groups.residual import residual_groups
from trials.core.streams import drawn_from
from trials.spurious_cat_dog.changes import relative_drifts, sensitivities
from trials.spurious_cat_dog.feature import opposite, placed_anew, planted
from trials.spurious_cat_dog.image_sets import Chosen, chosen_images, seen_in_training, views_of_test
from trials.spurious_cat_dog.knobs import FeatureKnobs

SEED = 3


def _context(train: int = 80, side: int = 10) -> TrialContext:
    random = np.random.default_rng(0)
    labels = np.arange(train) % 2
    inputs = random.integers(0, 256, (train, 3, side, side), dtype=np.uint8)
    arrays = Arrays(train_inputs=inputs, train_labels=labels, test_inputs=inputs[:20], test_labels=labels[:20])
    return TrialContext(arrays=lambda name: arrays)


def _chosen(per_class: int = 0, **changes) -> Chosen:
    return chosen_images(_context(**changes), DataKnobs(name="cat_dog"), per_class, 0)[0]


def _added(chosen: Chosen, split: str = "train", **knobs):
    return planted(FeatureKnobs(**{"size": 3, **knobs}), SEED, chosen.images, chosen.index, split)


def test_a_patch_overwrites_its_window_and_nothing_else():
    chosen = _chosen()
    added = _added(chosen, offset=2)
    pixels = added.on(chosen.plain())
    for image, label in zip(pixels, chosen.images.labels, strict=True):
        assert torch.equal(image[:, 2:5, 2:5], added.patches[label])
    outside = torch.ones(10, 10, dtype=torch.bool)
    outside[2:5, 2:5] = False
    assert torch.equal(pixels[:, :, outside], chosen.plain()[:, :, outside])
    assert added.patches.min() >= 0 and added.patches.max() <= 255
    assert not torch.equal(added.patches[0], added.patches[1])


def test_an_amplitude_between_mixes():
    chosen = _chosen()
    added = _added(chosen, amplitude=0.3)
    expected = 0.7 * chosen.plain()[:, :, :3, :3] + 0.3 * added.patches[chosen.images.labels]
    assert torch.allclose(added.on(chosen.plain())[:, :, :3, :3], expected)


@pytest.mark.parametrize("share", [0.0, 0.25, 0.5, 0.9, 1.0])
def test_prevalence_and_agreement_are_exact_in_each_class(share):
    chosen = _chosen()
    labels = chosen.images.labels
    has = _added(chosen, prevalence=share).weight > 0
    agrees = _added(chosen, agreement=share).which == labels
    for counted in (has, agrees):
        assert [int(counted[labels == label].sum()) for label in (0, 1)] == [round(40 * share)] * 2
    both = _added(chosen, prevalence=0.5, agreement=share)
    assert int(((both.which == labels) & (both.weight > 0)).sum()) == 2 * round(20 * share)


def test_larger_shares_keep_the_images_of_smaller_ones():
    chosen = _chosen()
    for knob_name, column in (("prevalence", "weight"), ("agreement", "which")):
        wrong = []
        for share in (0.2, 0.5, 0.8):
            value = getattr(_added(chosen, **{knob_name: share}), column)
            wrong.append(value == 0 if column == "weight" else value != chosen.images.labels)
        for more, less in itertools.pairwise(wrong):
            assert (less <= more).all() and less.sum() < more.sum()


def test_test_images_all_have_the_feature_of_their_class():
    chosen = _chosen()
    added = _added(chosen, split="test", prevalence=0.3, agreement=0.2)
    assert torch.equal(added.which, chosen.images.labels)
    assert (added.weight == 1).all()
    assert torch.equal(opposite(added).which, 1 - chosen.images.labels)


def test_an_image_keeps_its_noise_whatever_else_is_used():
    few, all_of_them = _chosen(per_class=10), _chosen()
    noise, more = (_added(each, kind="instance_noise") for each in (few, all_of_them))
    assert torch.equal(noise.patches, more.patches[few.index])
    assert len({tuple(patch.flatten().tolist()) for patch in more.patches}) == 80
    tests = _added(all_of_them, split="test", kind="instance_noise")
    assert not torch.equal(tests.patches, more.patches)


def test_a_colour_is_constant_and_that_of_the_class():
    added = _added(_chosen(), kind="class_color")
    assert torch.equal(added.patches, added.patches[:, :, :1, :1].expand_as(added.patches))
    assert not torch.equal(added.patches[0], added.patches[1])


def test_places_are_drawn_of_all_that_hold_the_window():
    chosen = _chosen(train=2000)
    once = _added(chosen, position="random_once")
    counts = torch.bincount(once.down * 8 + once.right, minlength=64)
    assert len(counts) == 64 and counts.min() > 0  # 31 expected of each
    again = placed_anew(once, SEED, chosen.images, chosen.index, "train", visit=1)
    assert (again.down != once.down).float().mean() > 0.8
    assert torch.equal(again.which, once.which)
    few = _chosen(per_class=100, train=2000)
    assert torch.equal(_added(few, position="random_once").down, once.down[few.index])


def test_the_patch_moves_over_an_image_that_stays():
    chosen, feature = _chosen(), FeatureKnobs(size=3, position="random_each_visit")
    seen = seen_in_training(chosen, feature, SEED, None, "augmentation")
    samples = torch.arange(80)
    one, same, other = (seen(epoch, samples)[0] for epoch in (0, 0, 1))
    assert torch.equal(one, same) and not torch.equal(one, other)
    assert torch.equal(seen(1, samples[5:9])[0], other[5:9]), "a function of image and epoch, not of the batch"
    clean = chosen.images.normalised(chosen.plain())
    changed = (one != clean).any(1).sum((1, 2))
    assert (changed <= 9).all() and changed.float().mean() > 8


def test_the_patch_comes_before_the_crop_and_the_crop_before_normalisation():
    chosen, feature = _chosen(), FeatureKnobs(size=3)
    seen = seen_in_training(chosen, feature, SEED, TRANSFORMS["crop4"], "augmentation")
    numbers = torch.from_numpy(draws(SEED, 80, visit=2, stream="augmentation"))
    down, right = ((numbers[:, lane] * 9).long() for lane in (0, 1))
    cropped = shifted(_added(chosen).on(chosen.plain()), down, right, None, 4)
    assert torch.equal(seen(2, torch.arange(80))[0], chosen.images.normalised(cropped))


def test_the_first_images_of_each_class_are_taken():
    chosen = _chosen(per_class=7)
    assert chosen.index.tolist() == list(range(14))
    assert chosen.images.labels.tolist() == [0, 1] * 7


def test_views_of_the_test_images_differ_in_the_window_alone():
    _, test = chosen_images(_context(), DataKnobs(name="cat_dog"), 0, 0)
    views = views_of_test(test, FeatureKnobs(size=3), SEED)
    for one, other in itertools.combinations(views.inputs, 2):
        assert torch.equal(one[:, :, 3:], other[:, :, 3:])
        assert (one[:, :, :3, :3] != other[:, :, :3, :3]).any()
    assert views_of_test(test, FeatureKnobs(size=3, kind="instance_noise"), SEED).conflict is None


def test_the_digit_pair_is_threes_and_eights():
    pair, digits = load_arrays("digit_pair"), load_arrays("digits")
    eights = digits.train_inputs[digits.train_labels == 8]
    assert np.array_equal(pair.train_inputs[pair.train_labels == 1], eights)
    assert set(pair.test_labels) == {0, 1}


def _network(seed: int = 0) -> LayerGroups:
    with drawn_from(seed, "initialisation"):
        return residual_groups(3, 2, width=4, blocks=1)


def test_sensitivity_is_that_of_all_pairs():
    groups = _network().double().eval()
    random = torch.Generator().manual_seed(0)
    inputs = torch.randn(150, 3, 8, 8, generator=random, dtype=torch.float64)
    changed = inputs + 0.1 * torch.randn(inputs.shape, generator=random, dtype=torch.float64)
    expected = []
    with torch.no_grad():
        for depth in range(5):
            here, there = (groups.forward_range(each, 0, depth).flatten(1) for each in (inputs, changed))
            pairs = torch.cdist(here, here).square().sum() / (150 * 149)
            expected.append(float((there - here).square().sum(1).mean() / pairs))
    assert sensitivities(groups, inputs, changed) == pytest.approx(expected, rel=1e-9)


def test_drift_is_relative_to_where_the_part_began():
    groups = _network()
    initial = {name: value.detach().clone() for name, value in groups.named_parameters()}
    assert set(relative_drifts(groups, initial).values()) == {0.0}
    with torch.no_grad():
        for value in groups.get_submodule("block 2").parameters():
            value.mul_(1.5)
    drifts = relative_drifts(groups, initial)
    assert drifts.pop("block 2") == pytest.approx(0.5)
    assert set(drifts.values()) == {0.0}


@pytest.fixture
def _forgets():
    forget_activations()
    yield
    forget_activations()


@pytest.mark.usefixtures("_forgets")
def test_activations_are_nested_remembered_and_never_those_of_other_weights(monkeypatch):
    groups, other = _network(0), _network(1)
    images = torch.randn(150, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    passed = []
    forward = LayerGroups.forward_range
    monkeypatch.setattr(
        LayerGroups, "forward_range", lambda self, h, a=0, b=None: passed.append((a, b)) or forward(self, h, a, b)
    )
    (second,) = prefix_activations(groups, [images], 2)
    (third,) = prefix_activations(groups, [images], 3)
    assert set(passed) == {(0, 2), (2, 3)}
    passed.clear()
    (again,) = prefix_activations(groups, [images], 3)
    assert passed == [] and again is third
    with torch.no_grad():
        assert torch.equal(third, forward(groups.eval(), images, 0, 3))
    (others,) = prefix_activations(other, [images], 3)
    assert set(passed) == {(0, 3)} and not torch.equal(others, third)
    passed.clear()
    prefix_activations(other, [images + 1], 3)
    assert set(passed) == {(0, 3)}
    assert not third.requires_grad and second.shape == (150, 4, 8, 8)


@pytest.mark.usefixtures("_forgets")
def test_a_prefix_without_parts_is_the_inputs():
    images = torch.zeros(2, 3, 8, 8)
    groups = LayerGroups({"a": nn.Identity(), "head": nn.Identity()})
    assert prefix_activations(groups, [images], 0)[0] is images


def test_a_feature_is_described_by_what_it_allows():
    with pytest.raises(ValueError, match=r"amplitude must be at most 1, got 1\.5"):
        FeatureKnobs(amplitude=1.5)
    with pytest.raises(ValueError, match="kind='patch' is not one of class_patch, instance_noise, class_color"):
        FeatureKnobs(kind="patch")
