"""Layer groups: parts that add up to the network, freezing that holds, steps that are those of torch."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from trials.core.checkpoints import as_arrays, as_state
from trials.core.data.examples import Examples
from trials.core.layer_groups.groups import LayerGroups, freeze
from trials.core.layer_groups.residual import residual_groups
from trials.core.layer_groups.training import descent, fit_of, fitted, of_groups, seen_fit
from trials.core.losses.classification import cross_entropy, label_smoothed
from trials.core.losses.loss import Loss
from trials.core.streams import drawn_from
from trials.core.training.batches import Batch, epochs
from trials.core.training.descent import Descent
from trials.core.training.schedules import SCHEDULES, batches_an_epoch, constant, cosine


def _network(seed: int = 0, width: int = 4, blocks: int = 1, classes: int = 2) -> LayerGroups:
    with drawn_from(seed, "initialisation"):
        return residual_groups(3, classes, width=width, blocks=blocks)


def _images(samples: int = 12, side: int = 8) -> tuple[torch.Tensor, torch.Tensor]:
    random = torch.Generator().manual_seed(1)
    labels = torch.randint(2, (samples,), generator=random)
    return torch.randn(samples, 3, side, side, generator=random), labels


class Trainer:
    """Steps by hand on a network, for tests."""

    def __init__(self, groups: LayerGroups, by: Descent, loss: Loss = cross_entropy) -> None:
        self.by, self.loss = by, loss
        self.trained, self.place = of_groups(groups, loss, by.rule)

    def step(self, step: int, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        batch = Batch(torch.arange(len(labels)), lambda rows: (images, labels))
        self.place, told = self.by(self.trained.on(batch), self.place, step)
        return fitted(self.loss)(batch, told)


def _trained(groups: LayerGroups, by: Descent, steps: range) -> None:
    images, labels = _images()
    trainer = Trainer(groups, by)
    for step in steps:
        batch = epochs(0, len(images), 4)(step)
        trainer.step(step, images[batch], labels[batch])


def _numbers(groups: LayerGroups) -> list[int]:
    parts = (groups.get_submodule(name).parameters() for name in groups.names)
    return [sum(value.numel() for value in part) for part in parts]


@pytest.mark.parametrize(
    ("width", "blocks", "classes", "parts"),
    [
        (16, 3, 10, [464, 14_016, 51_072, 203_520, 650]),
        (16, 3, 2, [464, 14_016, 51_072, 203_520, 130]),
        (12, 1, 2, [348, 2_640, 7_872, 31_296, 98]),
    ],
)
def test_residual_networks_have_the_published_sizes(width, blocks, classes, parts):
    assert _numbers(_network(width=width, blocks=blocks, classes=classes)) == parts


def test_whole_networks_have_the_published_sizes():
    sizes = {(16, 3, 10): 269_722, (16, 3, 2): 269_202, (12, 1, 2): 42_254, (16, 1, 2): 74_770}
    for (width, blocks, classes), size in sizes.items():
        assert sum(_numbers(_network(width=width, blocks=blocks, classes=classes))) == size


def test_parts_add_up_to_the_network():
    groups, (images, _) = _network().eval(), _images()
    whole = groups(images)
    assert torch.equal(groups.forward_range(images, 0, len(groups)), whole)
    for depth in range(len(groups) + 1):
        assert torch.equal(groups.forward_range(groups.forward_range(images, 0, depth), depth), whole)
    assert groups.forward_range(images, 0, 4).shape == (12, 16), "the last block ends with the mean over places"


def test_a_shortcut_without_parameters_keeps_every_second_place():
    block = _network().get_submodule("block 2.0")
    nn.init.zeros_(block.second_normalisation.weight)
    features = torch.rand(2, 4, 8, 8)
    outputs = block.eval()(features)
    assert torch.equal(outputs[:, :4], features[:, :, ::2, ::2])
    assert not outputs[:, 4:].any()


@pytest.mark.parametrize("names", [["a"], ["a.b", "head"], ["train", "head"], ["", "head"]])
def test_impossible_names_are_refused(names):
    with pytest.raises(ValueError, match="layer group"):
        LayerGroups({name: nn.Identity() for name in names})


def test_parts_that_do_not_exist_are_refused_with_those_that_do():
    with pytest.raises(ValueError, match=r"no parts 2 to 6 in a network of 5 parts: 1 = conv, .*, 5 = head"):
        _network().forward_range(_images()[0], 2, 6)
    for depth in (-1, 5):
        with pytest.raises(ValueError, match=rf"freeze_depth={depth} .* 4 = up to block 3; head always trains"):
            freeze(_network(), depth)


def test_initial_weights_are_a_function_of_the_seed_and_leave_the_global_generator_alone():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    one, same, other = _network(0), _network(0), _network(1)
    assert torch.equal(torch.rand(3), expected)
    assert all(torch.equal(value, same.state_dict()[name]) for name, value in one.state_dict().items())
    assert not torch.equal(one.get_parameter("conv.convolution.weight"), other.get_parameter("conv.convolution.weight"))


@pytest.mark.parametrize("depth", range(5))
@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_frozen_parts_stay_bit_by_bit_and_all_others_move(depth, optimizer):
    """S1: parameters and running statistics; weight decay must not move what has no gradient."""
    groups = _network()
    freezing = freeze(groups, depth)
    before = {name: value.clone() for name, value in groups.state_dict().items()}
    _trained(groups, descent(optimizer, learning_rate=0.1, momentum=0.9, weight_decay=0.1), range(6))
    frozen = set(groups.names[:depth])
    for name, value in groups.state_dict().items():
        assert torch.equal(value, before[name]) == (name.split(".")[0] in frozen), name
    assert {name.split(".")[0] for name in freezing.frozen} == frozen
    assert freezing.num_frozen == sum(_numbers(groups)[:depth])
    assert freezing.num_frozen + freezing.num_trainable == sum(_numbers(groups))


def test_without_eval_mode_a_pass_would_move_frozen_statistics():
    """S6: the mistake that S1 catches."""
    groups = _network()
    freeze(groups, 3)
    mean = groups.get_buffer("conv.normalisation.running_mean")
    before = mean.clone()
    groups.train()(_images()[0])
    assert torch.equal(mean, before)
    nn.Module.train(groups)(_images()[0])
    assert not torch.equal(mean, before)


def test_statistics_of_trainable_parts_can_be_fixed_as_well():
    groups = _network()
    freeze(groups, 1, statistics=True)
    before = {name: value.clone() for name, value in groups.named_buffers()}
    weights = groups.get_parameter("block 2.0.first.weight").clone()
    _trained(groups, descent(learning_rate=0.1), range(3))
    assert all(torch.equal(value, before[name]) for name, value in groups.named_buffers())
    assert not torch.equal(groups.get_parameter("block 2.0.first.weight"), weights)


def test_freezing_can_be_undone():
    groups = _network()
    freeze(groups, 3)
    assert freeze(groups, 0).frozen == ()
    assert all(module.training for module in groups.train().modules())


def test_a_step_is_that_of_a_dense_float64_oracle():
    """Nesterov's momentum, weight decay and a schedule, written out for a linear network."""
    groups = LayerGroups({"flat": nn.Flatten(), "head": nn.Linear(3 * 64, 2)}).double()
    images, labels = _images()
    images = images.double()
    by = descent(learning_rate=0.1, schedule=cosine(5), momentum=0.9, nesterov=True, weight_decay=0.01)
    weight, bias = (value.detach().clone() for value in groups.last_part.parameters())
    velocities = [torch.zeros_like(weight), torch.zeros_like(bias)]
    trainer = Trainer(groups, by)
    for step in range(5):
        seen = trainer.step(step, images, labels)
        outputs = images.flatten(1) @ weight.T + bias
        residual = (outputs.softmax(1) - nn.functional.one_hot(labels, 2)) / len(labels)
        assert float(seen[0]) / 12 == pytest.approx(float(nn.functional.cross_entropy(outputs, labels)), abs=1e-6)
        gradients = [residual.T @ images.flatten(1) + 0.01 * weight, residual.sum(0) + 0.01 * bias]
        velocities = [0.9 * velocity + gradient for velocity, gradient in zip(velocities, gradients, strict=True)]
        rate = 0.1 * (1 + math.cos(math.pi * step / 5)) / 2
        weight, bias = (
            value - rate * (gradient + 0.9 * velocity)
            for value, gradient, velocity in zip((weight, bias), gradients, velocities, strict=True)
        )
    assert torch.allclose(groups.last_part.weight, weight, atol=1e-12)
    assert torch.allclose(groups.last_part.bias, bias, atol=1e-12)


@pytest.mark.parametrize("nesterov", [False, True])
@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_steps_are_those_of_torch(optimizer, nesterov):
    groups, others = _network().double(), _network().double()
    images, labels = _images()
    own = Trainer(groups, descent(optimizer, learning_rate=0.05, momentum=0.9, nesterov=nesterov, weight_decay=0.1))
    arguments = {"lr": 0.05, "weight_decay": 0.1}
    theirs = {
        "sgd": lambda tensors: torch.optim.SGD(tensors, momentum=0.9, nesterov=nesterov, **arguments),
        "adamw": lambda tensors: torch.optim.AdamW(tensors, **arguments),
    }[optimizer](others.train().parameters())
    for step in range(5):
        own.step(step, images.double(), labels)
        theirs.zero_grad()
        nn.functional.cross_entropy(others(images.double()), labels).backward()
        theirs.step()
    for name, value in others.state_dict().items():
        assert torch.allclose(groups.state_dict()[name], value, rtol=1e-9, atol=1e-12), name


def test_what_is_seen_is_the_mean_over_samples():
    groups = _network()
    freeze(groups, 4)
    images, labels = _images()
    trainer = Trainer(groups, descent(learning_rate=0.0))
    groups.keep_statistics = True
    seen = sum(trainer.step(0, images[samples], labels[samples]) for samples in (slice(0, 5), slice(5, 12)))
    expected = fit_of(groups, Examples(inputs=images, labels=labels, classes=2))
    assert seen_fit(seen).loss == pytest.approx(expected.loss, abs=1e-6)
    assert seen_fit(seen).accuracy == pytest.approx(expected.accuracy, abs=1e-7)


def test_distributions_as_labels_are_smoothed_labels():
    images, labels = _images()
    groups, others = _network(), _network()
    distributions = 0.8 * nn.functional.one_hot(labels, 2) + 0.1
    by = descent(learning_rate=0.1)
    one = Trainer(groups, by, label_smoothed(0.2)).step(0, images, labels)
    other = Trainer(others, by).step(0, images, distributions)
    assert torch.allclose(one, other)


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
@pytest.mark.parametrize("depth", [0, 2])
def test_a_training_that_is_broken_off_goes_on_bit_by_bit(optimizer, depth):
    by = descent(optimizer, learning_rate=0.05, momentum=0.9, weight_decay=1e-3)
    images, labels = _images()

    def trained(groups, steps, state=None):
        freeze(groups, depth)
        own = Trainer(groups, by)
        if state is not None:
            own.trained, own.place = own.trained.restored(own.place, state, 0)
        for step in steps:
            batch = epochs(0, len(images), 4)(step)
            own.step(step, images[batch], labels[batch])
        return own.trained.state(own.place)

    whole = as_arrays(trained(_network(), range(8)))
    for broken in (0, 3):
        halfway = as_state(as_arrays(trained(_network(), range(broken))), torch.device("cpu"))
        resumed = as_arrays(trained(_network(), range(broken, 8), halfway))
        assert whole.keys() == resumed.keys()
        assert all((resumed[name] == value).all() for name, value in whole.items())


def test_schedules_at_their_ends():
    assert [constant(10)(step) for step in (0, 5, 9)] == [1, 1, 1]
    for name, build in SCHEDULES.items():
        factors = [build(14, 4)(step) for step in range(15)]
        assert factors[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0]), name
        assert factors[-1] == pytest.approx(1.0 if name == "constant" else 0.0)
        assert factors[9] == pytest.approx(1.0 if name == "constant" else 0.5)


def test_the_last_smaller_batch_of_an_epoch_is_dropped_or_kept():
    assert batches_an_epoch(10, 4) == 2
    assert batches_an_epoch(10, 4, whole=False) == 3
    kept = [epochs(0, 10, 4, whole=False)(step) for step in range(6)]
    assert [len(batch) for batch in kept] == [4, 4, 2, 4, 4, 2]
    for epoch in (kept[:3], kept[3:]):
        assert torch.cat(epoch).sort().values.tolist() == list(range(10))
    assert torch.equal(epochs(0, 10, 4)(0), kept[0])
    assert not torch.equal(epochs(0, 10, 4, stream="pretraining")(0), kept[0])
