"""Training sets of few samples, formed by index: the rows of the augmentation ratio, in the K phase diagram."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from trials.augmentation_ratio.knobs import AugmentationKnobs
from trials.augmentation_ratio.preparation import network_and_images as prepared_ratio
from trials.core.augmentation.fixed_set import FilledSet
from trials.core.augmentation.knobs import FixedSetKnobs
from trials.core.context import TrialContext
from trials.core.data.arrays import Arrays
from trials.core.data.examples import Examples, TrainingSet
from trials.core.data.knobs import DataKnobs
from trials.core.rounds.choice import METHODS
from trials.core.rounds.in_rounds import in_rounds
from trials.core.training.batches import epochs, seen
from trials.core.training.batches import formed as form_of
from trials.core.training.course import course
from trials.core.training.places import Place
from trials.k_phase_diagram.knobs import KPhaseKnobs
from trials.k_phase_diagram.preparation import lane_of
from trials.k_phase_diagram.recipe import run, run_many, together_key

DIGITS = DataKnobs(name="jittered_digits", train_size=100, test_size=60)


class TensorsMade(TorchDispatchMode):
    """Counts tensors that operations return, views among them."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, function: Any, types: Any, arguments: Any = (), keywords: Any = None) -> Any:
        returned = function(*arguments, **(keywords or {}))
        self.count += len(returned) if isinstance(returned, (list, tuple)) else 1
        return returned


def knobs(ratio: float = 0.3, arm: str = "fixed_aug", data: DataKnobs = DIGITS, **changes: Any) -> KPhaseKnobs:
    rows = FixedSetKnobs(ratio=ratio, augmentation=arm)
    return KPhaseKnobs(**{"steps": 20, "width": 8, "probe_size": 0, "rows": rows, "data": data, **changes})


def inputs(trial: KPhaseKnobs) -> torch.Tensor:
    return realised(lane_of(trial, TrialContext()).instruments.train)


def realised(train: TrainingSet) -> torch.Tensor:
    return torch.cat(list(train.chunks(7)))


@pytest.mark.parametrize("arm", ["copies", "fixed_aug"])
def test_rows_are_those_of_the_augmentation_ratio(arm: str) -> None:
    ratio = AugmentationKnobs(ratio=0.3, augmentation=arm, seed=2, batch_size=20, data=DIGITS)
    _, train, images, _ = prepared_ratio(ratio, TrialContext())
    shown = train.at(torch.arange(100))
    expected, labels = images.normalised(shown.inputs), shown.labels
    own = lane_of(knobs(arm=arm, seed=2), TrialContext()).instruments.train
    assert torch.allclose(realised(own), expected, atol=1e-6)
    assert torch.equal(own.labels, labels)


@pytest.mark.parametrize("transform", ["crop2", "cutout8", "rotation10"])
def test_a_row_is_formed_alike_in_any_batch_and_none_is_stored(transform: str) -> None:
    trial = knobs(rows=FixedSetKnobs(ratio=0.3, augmentation="fixed_aug", transform=transform))
    train = lane_of(trial, TrialContext()).instruments.train
    assert isinstance(train, FilledSet)
    kept = [*vars(train).values(), *vars(train.rows).values(), train.numbers(0)]
    assert max(value.numel() for value in kept if isinstance(value, torch.Tensor)) <= 4 * len(train)
    whole, order = realised(train), torch.randperm(100, generator=torch.Generator().manual_seed(0))
    shown = train.at(order[:20])
    assert torch.equal(shown.inputs, whole[order[:20]])
    assert torch.equal(shown.labels, train.labels[order[:20]])
    assert len(whole.flatten(1).unique(dim=0)) > 90, "the distinct samples and their transforms"


@pytest.mark.parametrize("method", METHODS)
def test_every_method_trains_on_rows_formed_by_index_as_on_stored_ones(method: str) -> None:
    trial = knobs(round_method=method, feature_update_interval=5)
    lane = lane_of(trial, TrialContext())
    formed = lane.rounds.problem
    stored = Examples(inputs=realised(formed.train), labels=formed.train.labels, classes=10)
    ends = []
    for problem in (formed, replace(formed, train=stored)):
        begun = in_rounds(replace(lane.rounds, problem=problem), Place(lane.instruments.initial, {}))
        sees = seen(form_of(problem.train), epochs(0, 100, 20))
        *_, last = course(
            begun, lane.descent, sees, steps=12, rows_at=lambda now: now.last, context=TrialContext(), past=None
        )
        ends.append(last.parameters)
    assert all(torch.equal(value, ends[1][name]) for name, value in ends[0].items())


def test_borders_are_black_where_black_is_not_zero() -> None:
    white, labels = np.full((20, 1, 8, 8), 255, np.uint8), np.arange(20) % 10
    arrays = Arrays(train_inputs=white, train_labels=labels, test_inputs=white, test_labels=labels)
    context = TrialContext(arrays=lambda name: arrays)
    data = DataKnobs(name="mnist", train_size=20, test_size=10)
    shifted = realised(lane_of(knobs(ratio=0.1, data=data, batch_size=4), context).instruments.train)
    assert float(shifted.min()) == pytest.approx(-0.13 / 0.31)
    assert float(shifted.max()) == pytest.approx(0.87 / 0.31)


def test_all_rows_are_as_before_and_arms_one_trial() -> None:
    assert knobs(ratio=1.0) == knobs(ratio=1.0, arm="copies") == knobs(rows=FixedSetKnobs())
    assert "rows_ratio" not in knobs(ratio=1.0).non_default()
    assert torch.equal(inputs(knobs(ratio=1.0)), TrialContext().data(DIGITS)[0].inputs)


@pytest.mark.parametrize("arms", [("copies",), ("copies", "fixed_aug")])
def test_trials_that_train_together_see_their_own_rows(arms: tuple[str, ...]) -> None:
    """Of their own ratio, arm and seed, also after one of them has ended."""
    settings = [{"arm": arm, "ratio": ratio, "seed": seed} for arm in arms for ratio, seed in ((0.3, 0), (0.5, 1))]
    settings = [{"ratio": 1.0, "steps": 7}, *settings, {"ratio": 1.0, "seed": 2, "feature_update_interval": 4}]
    trials = [knobs(**{"arm": "copies", "precision": "float64", **each}) for each in settings]
    assert len({together_key(trial) for trial in trials}) == 1
    last = dict(run_many(trials, TrialContext()))
    for index, trial in enumerate(trials):
        *_, alone = run(trial, TrialContext())
        assert isinstance(last[index], dict)
        assert last[index]["step"] == trial.steps
        for name in ("train_loss_lin", "test_loss_net", "param_dist"):
            assert last[index][name] == pytest.approx(alone[name], rel=1e-10), (index, name)


def test_other_transforms_train_by_themselves() -> None:
    rows = [FixedSetKnobs(ratio=0.3, augmentation="fixed_aug", transform=name) for name in ("crop1", "crop2")]
    assert len({together_key(knobs(rows=each)) for each in rows}) == 2


def test_vectors_have_copies_and_no_transforms() -> None:
    data = DataKnobs(name="sparse_parity", train_size=100, test_size=60)
    assert len(inputs(knobs(0.5, "copies", data)).unique(dim=0)) == 50
    with pytest.raises(ValueError, match="rows_augmentation=fixed_aug needs images, and sparse_parity has vectors"):
        lane_of(knobs(0.5, "fixed_aug", data), TrialContext())


@pytest.mark.parametrize("ratio", [0.5, 1.0])
def test_one_chunk_costs_what_one_chunk_holds(ratio: float) -> None:
    """A look at one sample of many cuts the others into no views."""
    train = lane_of(knobs(ratio, data=DataKnobs(name="jittered_digits")), TrialContext()).instruments.train
    with TensorsMade() as made:
        assert len(next(train.chunks(1))) == 1
    assert made.count < 100
    with TensorsMade() as made:
        assert len(list(train.chunks(1))) == 1000
    assert made.count >= 1000


@pytest.mark.parametrize("name", ["digits", "jittered_digits", "jittered_digit_draws", "digit_pair", "mnist"])
def test_no_set_of_digits_is_mirrored(name: str) -> None:
    with pytest.raises(ValueError, match=f"transform='flip' mirrors images, which makes other signs of {name}"):
        AugmentationKnobs(transform="flip", data=DataKnobs(name=name))


def test_transforms_that_do_not_suit_the_data_are_refused() -> None:
    mirrored = FixedSetKnobs(ratio=0.3, augmentation="fixed_aug", transform="flip+crop4")
    with pytest.raises(ValueError, match=r"transform='flip\+crop4' mirrors images, which makes other signs of"):
        knobs(rows=mirrored)
    knobs(rows=mirrored, data=DataKnobs(name="cifar10"))
    with pytest.raises(ValueError, match="transform='advanced' is not one of flip"):
        FixedSetKnobs(ratio=0.3, augmentation="fixed_aug", transform="advanced")
