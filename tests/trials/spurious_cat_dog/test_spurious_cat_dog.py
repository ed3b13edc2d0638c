"""Spurious features: what must hold exactly, whatever the network learns."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from scipy.special import expit

from tests.trials.core.test_checkpoints import BrokenOff, Memory
from trials.core.checkpoints import as_arrays
from trials.core.context import TrialContext
from trials.core.data.arrays import Arrays
from trials.core.data.knobs import DataKnobs
from trials.core.layer_groups.training import fit_of
from trials.core.rows import checked
from trials.core.streams import drawn_from
from trials.core.training.descent import Descent
from trials.spurious_cat_dog import recipe
from trials.spurious_cat_dog.knobs import ARMS, CatDogKnobs, FeatureKnobs, PretrainKnobs, ResidualKnobs, shared_work
from trials.spurious_cat_dog.measurements import MEASUREMENTS
from trials.spurious_cat_dog.preparation import views_and_steps
from trials.spurious_cat_dog.pretraining import pretrained
from trials.spurious_cat_dog.recipe import run

PRETRAIN = PretrainKnobs(epochs=1, batch_size=8, learning_rate=0.05)
SMALL = {
    "epochs": 2,
    "batch_size": 7,
    "network": ResidualKnobs(width=4, blocks=1),
    "pretrain": PRETRAIN,
    "feature": FeatureKnobs(size=3),
}


def _arrays(side: int = 12, train: int = 30, test: int = 21) -> Arrays:
    """Return colour images of two classes that differ in their mean brightness."""
    random = np.random.default_rng(0)
    labels = np.arange(train + test) % 2
    images = random.integers(0, 180, (train + test, 3, side, side)) + 60 * labels[:, None, None, None]
    inputs = images.astype(np.uint8)
    return Arrays(
        train_inputs=inputs[:train], train_labels=labels[:train], test_inputs=inputs[train:], test_labels=labels[train:]
    )


@pytest.fixture(scope="module")
def context() -> TrialContext:
    arrays = _arrays()
    return TrialContext(arrays=lambda name: arrays)


def _knobs(**changes) -> CatDogKnobs:
    return CatDogKnobs(**{**SMALL, **changes})


def _rows(context, **changes):
    return list(checked(run(_knobs(**changes), context), MEASUREMENTS))


def _without(rows, *columns):
    return [{name: value for name, value in row.items() if name not in columns} for row in rows]


@pytest.mark.parametrize("depth", [0, 1, 2, 3, 4])
@pytest.mark.parametrize("head_init", ["reinit", "keep"])
def test_s1_frozen_parts_stay_bit_by_bit(context, monkeypatch, depth, head_init):
    knobs, begun = _knobs(freeze_depth=depth, head_init=head_init), []
    monkeypatch.setattr(recipe, "views_and_steps", lambda *given: begun.append(views_and_steps(*given)) or begun[0])
    *_, last = run(knobs, context)
    before, groups = context.result_of(pretrained, knobs.pretraining), begun[0][0].groups
    for name, value in as_arrays(groups.state_dict()).items():
        assert np.array_equal(before[name], value) == (name.split(".")[0] in groups.names[:depth]), name
    moved = [last[f"weight_drift_rel_{name}"] for name in ("conv", "block_1", "block_2", "block_3", "head")]
    assert [value == 0 for value in moved] == [place < depth for place in range(5)]


@pytest.mark.parametrize("depth", [1, 2, 3, 4])
@pytest.mark.parametrize("keep_statistics", [False, True])
def test_s2_rows_from_stored_activations_are_those_of_images_seen_anew(context, depth, keep_statistics):
    changes = {"freeze_depth": depth, "keep_statistics": keep_statistics, "measurements_per_epoch": 2}
    cached, anew = (_rows(context, prefix_cache=stored, **changes) for stored in (True, False))
    assert cached[-1]["prefix_cached"] and not anew[-1]["prefix_cached"]
    assert _without(cached, "prefix_cached") == _without(anew, "prefix_cached")


def test_s2_holds_for_resnet_20_on_images_of_full_size():
    arrays = _arrays(side=32, train=40, test=30)
    context = TrialContext(arrays=lambda name: arrays)
    changes = {"network": ResidualKnobs(), "freeze_depth": 3, "epochs": 1, "batch_size": 16}
    changes["pretrain"] = PretrainKnobs(epochs=0, batch_size=16)
    cached, anew = (_rows(context, prefix_cache=stored, **changes) for stored in (True, False))
    assert _without(cached, "prefix_cached") == _without(anew, "prefix_cached")


def test_s3_training_the_head_alone_is_logistic_regression():
    """Weight decay makes the minimum one that both reach; L-BFGS works in float64 on the pooled features."""
    decay = 0.003
    knobs = _knobs(freeze_depth=4, epochs=200, batch_size=12, learning_rate=0.2, weight_decay=decay)
    knobs = dataclasses.replace(knobs, schedule="linear", feature=FeatureKnobs(amplitude=0.0))
    arrays = _arrays(train=120)
    context = TrialContext(arrays=lambda name: arrays)
    *_, last = run(knobs, context)
    _, sees, epoch_steps = views_and_steps(knobs, context)
    batches = zip(*(sees(step).shown for step in range(epoch_steps)), strict=True)
    features, labels = (torch.cat(parts).double().numpy() for parts in batches)
    design = np.concatenate([features, np.ones((len(features), 1))], axis=1)
    signs = 2 * labels - 1

    # Of two outputs, only the difference counts: its squared weights are twice those of either.
    def loss(weights):
        margins = signs * (design @ weights)
        value = np.logaddexp(0, -margins).mean() + decay / 4 * weights @ weights
        return value, -design.T @ (signs * expit(-margins)) / len(signs) + decay / 2 * weights

    options = {"maxiter": 10**5, "ftol": 1e-15}
    found = minimize(loss, np.zeros(design.shape[1]), jac=True, method="L-BFGS-B", options=options).x
    least = np.logaddexp(0, -signs * (design @ found)).mean()
    assert least < 0.68, "a loss that tells something"
    assert last["train_loss"] == pytest.approx(least, abs=1e-3)


@pytest.mark.parametrize("kind", ["class_patch", "instance_noise", "class_color"])
@pytest.mark.parametrize("off", [{"amplitude": 0.0}, {"prevalence": 0.0}])
def test_s4_a_feature_that_is_switched_off_leaves_the_clean_images(context, kind, off):
    images = []
    for arm, feature in (("clean", FeatureKnobs(size=3)), ("baseline", FeatureKnobs(size=3, kind=kind, **off))):
        _, sees, _ = views_and_steps(_knobs(part="A", augmentation=arm, feature=feature), context)
        images.append(torch.cat([sees(step).shown[0] for step in range(8)]))
    assert torch.equal(*images)


def test_s5_a_network_that_does_not_see_the_window_is_as_good_with_any_patch(context):
    instruments, *_ = views_and_steps(_knobs(), context)
    masked = torch.zeros(12, 12)
    masked[3:, 3:] = 1
    groups = instruments.groups
    views = [instruments.views.clean, instruments.views.spurious, instruments.views.conflict]
    seen, blind = (
        [fit_of(groups, dataclasses.replace(view, inputs=view.inputs * mask)) for view in views]
        for mask in (torch.ones(12, 12), masked)
    )
    assert blind[0] == blind[1] == blind[2], "loss and accuracy"
    assert len({fit.loss for fit in seen}) == 3


@pytest.mark.parametrize("changes", [{"freeze_depth": 2}, {"part": "A", "augmentation": "random_crop"}])
def test_broken_off_anywhere_the_rows_are_those_of_an_undisturbed_run(context, changes):
    knobs = _knobs(**changes, measurements_per_epoch=2)
    undisturbed = list(run(knobs, context))
    for step in range(undisturbed[-1]["step"] + 1):
        first, rows = Memory(break_at=step), []
        with pytest.raises(BrokenOff):
            rows.extend(run(knobs, dataclasses.replace(context, checkpoints=first)))
        assert rows == [row for row in undisturbed if row["step"] < step]
        rest = list(run(knobs, dataclasses.replace(context, checkpoints=Memory(saved=first.saved))))
        assert rest == [row for row in undisturbed if row["step"] >= step]


def test_the_stage_does_not_touch_the_checkpoints_of_its_trial(context):
    seen = []

    def stage_results(stage, knobs, surroundings):
        seen.append(type(surroundings.checkpoints).__name__)
        return stage(knobs, surroundings)

    next(run(_knobs(), dataclasses.replace(context, checkpoints=Memory(), stage_results=stage_results)))
    assert seen == ["NoCheckpoints"]


def test_all_depths_rates_and_features_share_one_pretraining():
    changes = [{"freeze_depth": 3}, {"learning_rate": 0.01}, {"head_init": "keep"}, {"epochs": 9}]
    changes += [{"feature": FeatureKnobs(size=2, agreement=0.9, amplitude=0.1)}, {"keep_statistics": True}]
    assert {shared_work(_knobs(**change)) for change in changes} == {shared_work(_knobs())}
    others = [{"seed": 1}, {"network": ResidualKnobs(width=8, blocks=1)}, {"pretrain": PretrainKnobs(epochs=2)}]
    assert len({shared_work(_knobs(**change)) for change in [{}, *others]}) == 4
    assert shared_work(_knobs(part="A")) == ()


def test_arms_and_depths_share_their_random_numbers(context):
    """Initialisation, order, patches and the head do not depend on the arm, the depth or how much has the feature."""
    feature = FeatureKnobs(size=3, prevalence=0.5, agreement=0.5)
    changes = [{"part": "A", "augmentation": arm} for arm in ARMS] + [{"part": "A", "feature": feature}]
    changed = [views_and_steps(_knobs(**change), context) for change in changes]
    weights = [as_arrays(dict(instruments.groups.named_parameters())) for instruments, *_ in changed]
    assert all(np.array_equal(weights[0][name], other[name]) for other in weights[1:] for name in weights[0])
    labels = [torch.cat([sees(step).shown[1] for step in range(6)]) for _, sees, _ in changed]
    assert all(torch.equal(labels[0], other) for other in labels[1:])
    heads = [views_and_steps(_knobs(freeze_depth=depth), context)[0].groups.last_part.weight for depth in range(5)]
    assert all(torch.equal(heads[0], other) for other in heads[1:])
    with drawn_from(0, "head"):
        assert torch.equal(torch.nn.Linear(16, 2).weight, heads[0])


def test_the_pretrained_network_may_have_seen_the_feature_or_another(context):
    states = {}
    for feature in ("none", "same", "different"):
        knobs = _knobs(pretrain=dataclasses.replace(PRETRAIN, feature=feature))
        states[feature] = context.result_of(pretrained, knobs.pretraining)["conv.convolution.weight"]
    assert not np.array_equal(states["none"], states["same"])
    assert not np.array_equal(states["different"], states["same"])


def test_noise_of_its_own_has_no_other_class(context):
    rows = _rows(context, part="A", feature=FeatureKnobs(kind="instance_noise", size=3))
    assert all(row["acc_conflict"] is None and row["acc_worst"] == row["acc_spurious"] for row in rows)


def test_a_head_that_is_kept_begins_where_pretraining_ended(context):
    first = next(run(_knobs(head_init="keep", freeze_depth=3), context))
    assert first["acc_clean"] == pytest.approx(first["acc_pretrained"])


def test_rows_stand_at_equal_parts_of_an_epoch_and_count_what_is_frozen(context):
    rows = _rows(context, measurements_per_epoch=2, freeze_depth=2)
    assert [row["epoch"] for row in rows] == [0, 0.5, 1, 1.5, 2]
    assert [row["epoch"] for row in _rows(context, measurements_per_epoch=0.5)] == [0, 2]
    assert {row["num_frozen"] + row["num_trainable"] for row in rows} == {4870}
    assert rows[0]["train_loss"] is None
    assert rows[0]["lr"] == 0.05 and rows[-1]["lr"] == pytest.approx(0)
    assert [row["sens_depth_0"] is None for row in rows] == [False, True, True, True, False]


def test_when_clean_images_are_lost_is_kept(context):
    rows = _rows(context, epochs=3)
    low = [row["epoch"] for row in rows[1:] if row["acc_clean"] < 0.6]
    assert low, "the training must lose them for this test to tell anything"
    assert rows[-1]["epochs_to_acc_clean_below_0_6"] == low[0]
    assert rows[0]["epochs_to_acc_clean_below_0_6"] is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"freeze_depth": 5}, "freeze_depth=5 is not one of 0 = nothing, 1 = up to conv, .*, 4 = up to block 3; head"),
        ({"freeze_depth": 1, "part": "A"}, "part=A trains from scratch: freeze_depth must be 0, got 1"),
        ({"augmentation": "clean"}, "augmentation='clean' is an arm of part=A"),
        ({"augmentation": "noise"}, "augmentation='noise' is not one of baseline, random_noise_position"),
        ({"head_init": "new"}, "head_init='new' is not one of reinit, keep"),
    ],
)
def test_impossible_knobs_are_refused_with_what_is_allowed(changes, message):
    with pytest.raises(ValueError, match=message):
        _knobs(**changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"feature": FeatureKnobs(size=13)}, "feature_size=13 exceeds the images of 12x12 pixels"),
        (
            {"feature": FeatureKnobs(size=4, offset=9)},
            "feature_offset=9 puts a window of 4 pixels beyond images of 12x12",
        ),
        ({"train_per_class": 16}, "train_per_class=16 exceeds the 15 train images of a class"),
        ({"pretrain": PretrainKnobs()}, "pretrain_batch_size=128 exceeds the 30 training images"),
        ({"batch_size": 31}, "batch_size must be between 1 and the 30 training samples, got 31"),
    ],
)
def test_data_that_do_not_suit_are_refused_before_any_training(context, monkeypatch, changes, message):
    def no_step(*arguments):
        raise AssertionError("training has begun")

    monkeypatch.setattr(Descent, "__call__", no_step)
    with pytest.raises(ValueError, match=message):
        next(run(_knobs(**changes), context))


def test_ten_classes_are_refused():
    with pytest.raises(ValueError, match="has 10 classes; a feature that tells them needs 2"):
        _knobs(data=DataKnobs(name="digits"))
