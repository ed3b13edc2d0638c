"""Fine-tuning on activations that frozen parts left, of every kind of network: the rows of fine-tuning on images."""

from __future__ import annotations

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from tests.trials.freeze_depth.fine_tuned import assert_close, knobs_of, rows_of, whole
from tests.trials.freeze_depth.small_transformers import NAMES, small_transformers
from trials.core.layer_groups.groups import freeze
from trials.core.layer_groups.prefix import forget_activations, prefix_activations
from trials.core.layer_groups.training import descent, of_groups
from trials.core.losses.classification import cross_entropy
from trials.core.training.batches import Batch
from trials.freeze_depth.birds.knobs import BirdData
from trials.freeze_depth.knobs import FreezeDepthKnobs
from trials.freeze_depth.networks.backbones import Sizes, built


@pytest.mark.parametrize("depth", [1, 3, 4])
@pytest.mark.parametrize("task", ["foreground", "background"])
def test_fine_tuning_on_cached_activations_is_fine_tuning_on_images(monkeypatch, task, depth):
    knobs = knobs_of(task=task, freeze_depth=depth)
    cached = rows_of(knobs)
    monkeypatch.setattr(FreezeDepthKnobs, "cached_parts", 0)
    uncached = rows_of(knobs)
    assert {row.pop("cached_parts") for row in whole(cached)} == {depth}
    assert {row.pop("cached_parts") for row in whole(uncached)} == {0}
    assert_close(cached, uncached)


@pytest.mark.parametrize("order", [("float32", "bfloat16"), ("bfloat16", "float32")])
def test_activations_of_one_precision_serve_no_trial_of_another(order):
    rows = {}
    for precision in order:
        rows[precision] = rows_of(knobs_of(freeze_depth=2, precision=precision))
    for precision in order:
        forget_activations()
        assert_close(rows[precision], rows_of(knobs_of(freeze_depth=2, precision=precision)))
    assert whole(rows["float32"])[-1]["train_loss"] != whole(rows["bfloat16"])[-1]["train_loss"]


def test_lite0_trains_on_cached_activations_as_on_images(monkeypatch):
    for depth in (1, 9, 18):
        _assert_cached_as_uncached(monkeypatch, network="lite0", keep_statistics=True, freeze_depth=depth)


@pytest.mark.parametrize("library", list(NAMES))
def test_a_transformer_of_a_library_trains_on_cached_activations_as_on_images(monkeypatch, library):
    small_transformers(monkeypatch)
    for depth in (1, 3, 5):
        _assert_cached_as_uncached(monkeypatch, network=NAMES[library], freeze_depth=depth)


def test_torchvisions_embeddings_train_below_frozen_blocks(monkeypatch):
    small_transformers(monkeypatch)
    data = BirdData(scale=0.01, test_per_group=4, side=32)
    knobs = knobs_of(network=NAMES["torchvision"], data=data, freeze_depth=4, freeze_scope="published", epochs=1)
    rows = {row["part"]: row for row in rows_of(knobs) if row["step"]}
    assert rows["embed"]["weight_drift_rel"] > rows["block 3"]["weight_drift_rel"] == 0
    assert "embed.conv_proj.weight" in rows["all"]["frozen_parameters"]
    assert "embed.class_token" not in rows["all"]["frozen_parameters"]


def test_a_cached_step_of_the_head_alone_is_less_than_a_tenth_of_a_whole_step():
    """Multiply-adds and no clock; `bench_prefix.py` times it."""
    groups, images = built("lite0", Sizes(classes=2)).groups, torch.rand(2, 3, 32, 32)
    work = {}
    for depth in (0, 18):
        freeze(groups, depth, statistics=True)
        (hidden,), step = prefix_activations(groups, [images], depth), descent(learning_rate=0.01)
        trained, place = of_groups(groups, cross_entropy, step.rule, start=depth)
        batch = Batch(torch.arange(2), lambda rows, hidden=hidden: (hidden, rows))
        with FlopCounterMode(display=False) as counted:
            step(trained.on(batch), place, 0)
        work[depth] = counted.get_total_flops()
    assert 0 < 10 * work[18] < work[0]


def _assert_cached_as_uncached(monkeypatch, **changes):
    data = BirdData(scale=0.01, test_per_group=4, side=32)
    knobs = knobs_of(epochs=1, learning_rate=0.01, data=data, **changes)
    cached = rows_of(knobs)
    with monkeypatch.context() as patched:
        patched.setattr(FreezeDepthKnobs, "cached_parts", 0)
        uncached = rows_of(knobs)
    assert {row.pop("cached_parts") for row in whole(cached)} == {changes["freeze_depth"]}
    assert {row.pop("cached_parts") for row in whole(uncached)} == {0}
    assert_close(cached, uncached)
