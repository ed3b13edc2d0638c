"""Networks of a user's own: parts, weights, linearisation, and refusals in a line."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from raysweep.k_phase_diagram import STUDY as K
from raysweep.service.code import code_of
from trials.augmentation_ratio.knobs import AugmentationKnobs
from trials.core.context import TrialContext
from trials.core.data.arrays import load_arrays
from trials.core.data.knobs import DataKnobs
from trials.core.layer_groups.own import own_groups, own_network, refuse_own
from trials.core.streams import drawn_from, generator
from trials.core.training.batches import epochs
from trials.core.values import is_own, own_module
from trials.k_phase_diagram.knobs import KPhaseKnobs

SOURCE = """
import torch
from torch import nn

def chain(shape, classes):
    return nn.Sequential(
        *(nn.Flatten(), nn.Linear(shape[0] * shape[1] * shape[2], 6), nn.Tanh()),
        *(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, classes)),
    )

class Forked(nn.Module):
    def __init__(self, shape, classes):
        super().__init__()
        self.flat, self.inner = nn.Flatten(), nn.Linear(shape[0] * shape[1] * shape[2], 6)
        self.beside, self.readout = nn.Linear(6, 6), nn.Linear(6, classes)
        nn.init.zeros_(self.readout.weight)

    def forward(self, images):
        hidden = self.inner(self.flat(images)).tanh()
        return self.readout(hidden + self.beside(hidden).tanh())

def normalised(shape, classes):
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.BatchNorm1d(8), nn.Linear(8, classes))

def too_many(shape, classes):
    return nn.Sequential(nn.Flatten(), nn.Linear(64, classes + 1))

def by_chance(shape, classes):
    return nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(64, classes))

def other_size(shape, classes):
    return nn.Sequential(nn.Flatten(), nn.Linear(63, classes))

def constant(shape, classes):
    return nn.Flatten()

def number(shape, classes):
    return 3

def failing(shape, classes):
    raise RuntimeError("two lines\\nof it")
"""
SHAPE, CLASSES = (1, 8, 8), 10


@pytest.fixture(autouse=True)
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    name = f"own_networks_{tmp_path.name}"
    (tmp_path / f"{name}.py").write_text(SOURCE, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    return name


def test_children_that_follow_each_other_are_parts(module: str) -> None:
    groups = own_groups(f"{module}:chain", SHAPE, CLASSES, depth=2)
    assert len(groups) == 3
    assert [sum(value.numel() for value in groups.get_submodule(name).parameters()) for name in groups.names] == [
        *(64 * 6 + 6, 6 * 5 + 5, 5 * 10 + 10)
    ]
    images = torch.randn(4, *SHAPE)
    with drawn_from(0, "one"):
        plain = sys.modules[module].chain(SHAPE, CLASSES)
    with drawn_from(0, "one"):
        groups = own_groups(f"{module}:chain", SHAPE, CLASSES)
    assert torch.equal(groups(images), plain(images))


def test_what_is_no_chain_is_whole(module: str) -> None:
    """Its readout begins at zero, behind which the outputs of any chain would be the same."""
    groups = own_groups(f"{module}:Forked", SHAPE, CLASSES)
    assert isinstance(groups.network, nn.Module)
    with pytest.raises(
        ValueError, match=r"is no chain of its children \(flat, inner, beside, readout\), so it has no part"
    ):
        own_groups(f"{module}:Forked", SHAPE, CLASSES, depth=1)


def test_as_a_function_it_is_the_module_at_weights_that_a_seed_decides(module: str) -> None:
    network = own_network(f"{module}:Forked", SHAPE, CLASSES, 0, torch.device("cpu"), torch.float64)
    first, again, other = (network.initial(generator(seed, "initialisation")) for seed in (1, 1, 2))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)
    assert {name: tuple(value.shape) for name, value in first.items()} == dict(network.shapes)
    images = torch.randn(3, *SHAPE, dtype=torch.float64)
    point = {name: torch.randn_like(value, dtype=torch.float64) for name, value in first.items()}
    plain = sys.modules[module].Forked(SHAPE, CLASSES).double()
    plain.load_state_dict({name.removeprefix("network."): value for name, value in point.items()})
    torch.testing.assert_close(network.forward(point, images), plain(images))


def test_linearised_at_every_step_it_trains_as_it_is(module: str) -> None:
    """K = 1 is SGD on the module; linearised once it begins there and trains as well."""
    data = DataKnobs(train_size=60, test_size=60)
    knobs = KPhaseKnobs(steps=30, batch_size=20, probe_size=8, network=f"{module}:chain", data=data)
    plain, once = (
        list(K.trial(dataclasses.replace(knobs, feature_update_interval=interval), TrialContext()))
        for interval in (1, 30)
    )
    train, _ = TrialContext().data(data)
    network = sys.modules[module].chain(SHAPE, CLASSES)
    drawn = own_network(knobs.network, SHAPE, CLASSES, 0, torch.device("cpu"), torch.float32)
    start = drawn.initial(generator(0, "initialisation"))
    network.load_state_dict(dict(zip(network.state_dict(), start.values(), strict=True)))
    parameters, batches = list(network.parameters()), epochs(0, 60, 20, torch.device("cpu"))
    for step in range(30):
        rows = batches(step)
        loss = cross_entropy(network(train.inputs[rows]), train.labels[rows])
        with torch.no_grad():
            for value, slope in zip(parameters, torch.autograd.grad(loss, parameters), strict=True):
                value -= 0.1 * slope
    with torch.no_grad():
        expected = float(cross_entropy(network(train.inputs), train.labels))
    assert plain[-1]["train_loss_net"] == pytest.approx(expected, rel=1e-4)
    assert once[0]["train_loss_net"] == plain[0]["train_loss_net"]
    assert once[-1]["train_loss_net"] != once[-1]["train_loss_lin"] < once[0]["train_loss_lin"]


@pytest.mark.parametrize(
    ("named", "why"),
    [
        ("too_many", r"makes \(2, 11\) of 2 inputs; it must be \(2, 10\)"),
        ("by_chance", "has Dropout, whose draws no seed of a trial decides"),
        ("other_size", r"does not take inputs of shape \(2, 1, 8, 8\)"),
        ("constant", r"makes \(2, 64\)"),
        ("number", "returns int; it must return a torch.nn.Module"),
        ("failing", "RuntimeError: two lines$"),
        ("missing", "cannot be imported: AttributeError"),
    ],
)
def test_what_is_no_network_is_refused_in_a_line(module: str, named: str, why: str) -> None:
    with pytest.raises(ValueError, match=why) as refused:
        refuse_own(f"{module}:{named}", SHAPE, CLASSES)
    assert "\n" not in str(refused.value)


def test_a_module_that_is_not_there_is_refused(module: str) -> None:
    with pytest.raises(ValueError, match="cannot be imported: ModuleNotFoundError: No module named 'no_such'"):
        refuse_own("no_such:network", SHAPE, CLASSES)


def test_statistics_of_batches_leave_nothing_to_linearise(module: str) -> None:
    arrays = {"digits": load_arrays("digits")}
    with pytest.raises(ValueError, match="has batch normalisation"):
        KPhaseKnobs(network=f"{module}:normalised").refuse_unfit(arrays)
    data = DataKnobs(train_size=100)
    AugmentationKnobs(network=f"{module}:normalised", data=data).refuse_unfit(arrays)
    with pytest.raises(ValueError, match="keep_statistics=true"):
        AugmentationKnobs(network=f"{module}:normalised", feature_update_interval=2, data=data).refuse_unfit(arrays)


def test_its_source_is_of_the_trial_s_code(module: str, tmp_path: Path) -> None:
    knobs = KPhaseKnobs(network=f"{module}:chain")
    before = code_of(K).hash_of(knobs)
    assert module in code_of(K).modules_of(knobs)
    assert code_of(K).hash_of(KPhaseKnobs()) != before
    (tmp_path / f"{module}.py").write_text(SOURCE.replace("6), nn.Tanh", "6), nn.ReLU"), encoding="utf-8")
    assert code_of(K).hash_of(knobs) != before


def test_a_name_of_one_s_own_has_a_module_and_a_function() -> None:
    assert [is_own(name) for name in ("a:b", "a.b:C.d", "mlp", "timm/a", "https://a", "a:b c", ":b", 3)] == [
        *(True, True, False, False, False, False, False, False)
    ]
    assert own_module("a.b:c") == ("a.b",)
    assert own_module("mlp") == ()


def test_knobs_with_one_need_no_torch(module: str) -> None:
    code = (
        "import sys, json; from trials.k_phase_diagram.knobs import KPhaseKnobs;"
        "knobs = KPhaseKnobs(network='m:f'); print(json.dumps([list(knobs.own_modules()), 'torch' in sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[4], capture_output=True, text=True)
    assert json.loads(done.stdout) == [["m"], False], done.stderr
