"""The axes of the three studies of modules crossed: K, damping, depth and ratio, in one training each."""

from __future__ import annotations

import copy
import dataclasses
import math
from functools import partial

import numpy as np
import pytest

from tests.trials.core.test_checkpoints import BrokenOff, Memory
from trials import augmentation_ratio, freeze_depth, spurious_cat_dog
from trials.augmentation_ratio.knobs import AugmentationKnobs
from trials.augmentation_ratio.recipe import run as run_ratio
from trials.core.augmentation.knobs import FixedSetKnobs
from trials.core.context import TrialContext
from trials.core.data.arrays import Arrays
from trials.core.data.knobs import DataKnobs
from trials.core.layer_groups.knobs import RoundsKnobs
from trials.freeze_depth.birds.knobs import BirdData
from trials.freeze_depth.knobs import FreezeDepthKnobs
from trials.freeze_depth.recipe import run as run_depth
from trials.k_phase_diagram.knobs import KPhaseKnobs
from trials.spurious_cat_dog.knobs import CatDogKnobs, FeatureKnobs, PretrainKnobs, ResidualKnobs
from trials.spurious_cat_dog.recipe import run as run_cat_dog

HALF = FixedSetKnobs(ratio=0.5, augmentation="fixed_aug", transform="crop1")


def _cat_dog(ratio=1.0, **changes):
    rows = HALF if ratio < 1 else FixedSetKnobs()
    settings = {"epochs": 2, "batch_size": 16, "train_per_class": 24, "test_per_class": 20, "keep_statistics": True}
    small = {"network": ResidualKnobs(width=4, blocks=1), "pretrain": PretrainKnobs(epochs=0, batch_size=16)}
    return CatDogKnobs(**{**settings, **small, "feature": FeatureKnobs(size=2), "rows": rows, **changes})


def _ratio(ratio=1.0, **changes):
    data = DataKnobs(name="digits", train_size=60, test_size=40)
    settings = {"epochs": 2, "batch_size": 20, "invariance_size": 20, "transform": "crop1", "data": data}
    network = {"network": "cnn3", "keep_statistics": True}
    return AugmentationKnobs(**{**settings, **network, "ratio": ratio, "augmentation": "fixed_aug", **changes})


def _depth(ratio=1.0, **changes):
    rows = HALF if ratio < 1 else FixedSetKnobs()
    settings = {"width": 4, "epochs": 2, "learning_rate": 0.05, "batch_size": 40, "keep_statistics": True}
    return FreezeDepthKnobs(**{**settings, "data": BirdData(scale=0.02, test_per_group=10), "rows": rows, **changes})


STUDIES = {
    spurious_cat_dog: (_cat_dog, run_cat_dog, "weight_drift_rel_head"),
    augmentation_ratio: (_ratio, run_ratio, "train_loss"),
    freeze_depth: (_depth, run_depth, "weight_drift_rel"),
}
STUDY = pytest.mark.parametrize("study", STUDIES, ids=lambda study: study.__name__.partition(".")[2])
ALL = {"feature_update_interval": 2, "damping": 5.0, "freeze_depth": 1, "ratio": 0.5}


def _rows(study, **changes):
    knobs, run, _ = STUDIES[study]
    return list(run(knobs(**changes), TrialContext()))


@STUDY
def test_axes_that_are_off_leave_the_id_and_plain_training_has_no_damping(study):
    knobs, *_ = STUDIES[study]
    assert knobs(feature_update_interval=1, damping=0.0).non_default() == knobs().non_default()
    assert knobs(damping=3.0) == knobs()
    assert knobs(damping=3.0, feature_update_interval=2) != knobs(feature_update_interval=2)


@STUDY
def test_each_axis_moves_the_rows_wherever_the_others_are(study):
    told = STUDIES[study][2]
    without = [{name: value for name, value in ALL.items() if name != left} for left in ("", *ALL)]
    ends = [_rows(study, **changes)[-1][told] for changes in without]
    assert len(set(ends)) == len(ends), dict(zip(["none", *ALL], ends, strict=True))


@STUDY
def test_an_interval_that_does_not_end_before_the_training_is_one_record(study, monkeypatch):
    build, run, told = STUDIES[study]
    once = build(feature_update_interval=6, damping=5.0)
    for interval in (7, 11, 10**9, math.inf):
        beyond = build(feature_update_interval=interval, damping=5.0)
        assert (beyond, beyond.fingerprint()) == (once, once.fingerprint())
    forced = copy.copy(once)  # what no knobs allow
    object.__setattr__(forced, "feature_update_interval", 11)
    monkeypatch.setattr(RoundsKnobs, "refuse_beyond", lambda knobs, samples: None)
    rows = list(run(once, TrialContext()))
    assert rows[-1]["step"] == 6 and list(run(forced, TrialContext())) == rows
    assert _rows(study, feature_update_interval=5, damping=5.0)[-1][told] != rows[-1][told]
    one_step = {"epochs": 1, "batch_size": {spurious_cat_dog: 48, augmentation_ratio: 60, freeze_depth: 96}[study]}
    assert build(**one_step, feature_update_interval=math.inf, damping=5.0) == build(**one_step)


@pytest.mark.parametrize(
    ("build", "data"),
    [
        (partial(_cat_dog, train_per_class=0), DataKnobs(name="cat_dog")),
        (_ratio, DataKnobs(name="cifar10", train_offset=10)),
        (_depth, BirdData(name="waterbirds")),
    ],
)
def test_where_files_decide_how_many_steps_there_are_a_larger_interval_is_refused_with_them(build, data):
    with pytest.raises(ValueError, match="feature_update_interval=inf stands for all steps of the training, whose"):
        build(data=data, feature_update_interval=math.inf)
    knobs = build(data=data, feature_update_interval=9, batch_size=30)
    knobs.refuse_beyond(150)
    with pytest.raises(ValueError, match=r"feature_update_interval=9 exceeds the 4 steps of this training on 60 s"):
        knobs.refuse_beyond(60)


def test_files_are_held_against_the_interval_before_any_trial():
    shape, labels = (60, 3, 32, 32), np.arange(60) % 2
    images = np.zeros(shape, np.uint8)
    arrays = Arrays(train_inputs=images, train_labels=labels, test_inputs=images, test_labels=labels)
    for build, name in ((_ratio, "cifar10"), (partial(_cat_dog, train_per_class=0), "cat_dog")):
        knobs = build(data=DataKnobs(name=name), batch_size=30, feature_update_interval=5)
        with pytest.raises(ValueError, match=r"exceeds the 4 steps of this training on 60 samples; write 4, which"):
            knobs.refuse_unfit({name: arrays})
        dataclasses.replace(knobs, feature_update_interval=4).refuse_unfit({name: arrays})


@STUDY
@pytest.mark.parametrize("without", [(), ("ratio",), ("freeze_depth",), ("damping",)], ids=str)
def test_broken_off_at_every_step_the_rows_are_those_of_an_undisturbed_run(study, without):
    build, run, _ = STUDIES[study]
    knobs = build(**{name: value for name, value in ALL.items() if name not in without})
    undisturbed = list(run(knobs, TrialContext()))
    for step in range(undisturbed[-1]["step"] + 1):
        first, rows = Memory(break_at=step), []
        with pytest.raises(BrokenOff):
            rows.extend(run(knobs, TrialContext(checkpoints=first)))
        assert rows == [row for row in undisturbed if row["step"] < step]
        rest = list(run(knobs, TrialContext(checkpoints=Memory(saved=first.saved))))
        assert rest == [row for row in undisturbed if row["step"] >= step]


@STUDY
def test_a_linear_head_alone_does_not_know_the_interval_unless_it_is_damped(study):
    told = STUDIES[study][2]
    head = {spurious_cat_dog: 4, augmentation_ratio: 3, freeze_depth: 4}[study]
    plain, fixed, damped = (
        _rows(study, freeze_depth=head, ratio=0.5, **changes)[-1][told]
        for changes in ({}, {"feature_update_interval": 4}, {"feature_update_interval": 4, "damping": 5.0})
    )
    assert fixed == pytest.approx(plain, rel=1e-4), "float32"
    assert damped != pytest.approx(plain, rel=1e-3)


def test_copies_of_few_images_train_as_on_stored_activations():
    cached, anew = (
        _rows(spurious_cat_dog, freeze_depth=2, ratio=0.5, feature_update_interval=2, prefix_cache=cache)
        for cache in (True, False)
    )
    assert {row.pop("prefix_cached") for row in cached} != {row.pop("prefix_cached") for row in anew}
    assert cached == anew


@pytest.mark.parametrize(
    ("build", "changes", "message"),
    [
        (_cat_dog, {"keep_statistics": False}, "needs keep_statistics=true: by batches"),
        (_depth, {"keep_statistics": False}, "needs keep_statistics=true: by batches"),
        (_ratio, {"keep_statistics": False}, "feature_update_interval=2 needs keep_statistics=true: by batches"),
        (_ratio, {"precision": "bfloat16"}, "needs precision=float32: bfloat16 would round"),
        (_depth, {"precision": "bfloat16"}, "needs precision=float32: bfloat16 would round"),
        (
            _ratio,
            {"network": "mlp", "freeze_depth": 2},
            "freeze_depth=2 is not one of 0 = nothing, 1 = up to hidden; head always trains",
        ),
        (_depth, {"freeze_depth": 5}, "freeze_depth=5 is not one of 0 = nothing, 1 = up to conv"),
        (
            _cat_dog,
            {"rows": FixedSetKnobs(ratio=0.5), "part": "A", "augmentation": "random_crop"},
            "rows_ratio=0.5 needs training images that stay as they are: augmentation=random_crop",
        ),
        (_depth, {"ratio": 0.5, "augmentation": "flip+resized_crop"}, "rows_ratio=0.5 needs training images that stay"),
        (
            _depth,
            {"rows": FixedSetKnobs(ratio=0.5, augmentation="fixed_aug", transform="flip")},
            "transform='flip' mirrors images, which makes other signs of digits",
        ),
        (_cat_dog, {"damping": -1.0}, "damping must be at least 0"),
        (_cat_dog, {"feature_update_interval": 0}, "feature_update_interval must be at least 1"),
    ],
)
def test_what_does_not_cross_is_refused_with_what_would(build, changes, message):
    with pytest.raises(ValueError, match=message):
        build(**{"feature_update_interval": 2, **changes})


def test_where_nothing_that_trains_has_statistics_they_need_not_be_kept():
    assert _depth(freeze_depth=4, keep_statistics=False, feature_update_interval=2).feature_update_interval == 2
    for changes in ({"network": "mlp"}, {"freeze_depth": 3}):
        knobs = _ratio(**changes, feature_update_interval=2)
        assert knobs == _ratio(**changes, feature_update_interval=2, keep_statistics=False)


def test_a_share_that_leaves_no_image_is_refused_before_any_trial():
    few = FixedSetKnobs(ratio=1e-4)
    for build, count in (
        (partial(_cat_dog, rows=few), 48),
        (partial(_depth, rows=few), 96),
        (partial(_ratio, 1e-4), 60),
        (partial(KPhaseKnobs, rows=few, data=DataKnobs(name="digits", train_offset=400)), 600),
    ):
        with pytest.raises(ValueError, match=rf"ratio=0\.0001 keeps 0 of {count} samples"):
            build()


def test_a_librarys_network_that_cannot_be_linearised_is_refused_before_any_trial():
    knobs = _depth(network="timm/resnet18", feature_update_interval=2, keep_statistics=False)
    with pytest.raises(ValueError, match="feature_update_interval=2 needs keep_statistics=true"):
        knobs.refuse_unfit({})
    kept = dataclasses.replace(knobs, keep_statistics=True)
    kept.refuse_unfit({})
    lacking = dataclasses.replace(kept, network="timm/mobilenetv3_small_050")
    with pytest.raises(ValueError, match="feature_update_interval=2 needs second derivatives, which timm/mobilenetv3"):
        lacking.refuse_unfit({})
