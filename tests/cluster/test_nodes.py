"""Node types and prices."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.cards import gpu_share
from cluster.nodes import (
    NODE_TYPES,
    PRICES,
    SPOT,
    NodeType,
    bought_as_spot,
    cost_dollars,
    node_type,
    price_per_second,
)

nodes = st.sampled_from(list(NODE_TYPES.values()))
G6 = NODE_TYPES["g6.xlarge"]


@pytest.fixture(autouse=True)
def list_prices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(PRICES, raising=False)


def test_every_node_is_cheaper_as_spot_and_named_once() -> None:
    for name, node in NODE_TYPES.items():
        assert node.name == name
        assert node.dollars_per_hour_spot < node.dollars_per_hour_on_demand
    assert {node.cloud for node in NODE_TYPES.values()} == {"aws", "gcp"}


def test_larger_machines_of_a_family_give_about_the_same_gpu_per_dollar() -> None:
    # A wrong digit in the table shows here: within a cloud, one kind of GPU costs the same but for the cores beside it.
    for node in NODE_TYPES.values():
        for other in NODE_TYPES.values():
            if (node.cloud, node.gpu) == (other.cloud, other.gpu):
                ratio = (node.dollars_per_hour_on_demand / node.gpus) / (other.dollars_per_hour_on_demand / other.gpus)
                assert 0.4 < ratio < 2.5, (node.name, other.name)


def test_an_unknown_name_is_answered_with_those_that_resemble_it() -> None:
    assert node_type("g6.xlarge") is G6
    with pytest.raises(ValueError, match=r"no node type 'g6\.xlrge'.*g6\.xlarge"):
        node_type("g6.xlrge")


@given(node=nodes, seconds=st.floats(0, 1e6), fraction=st.floats(0, 8), cpus=st.floats(0, 300), spot=st.booleans())
def test_a_trial_costs_at_most_the_machine_and_at_least_its_share_of_each_kind(
    node: NodeType, seconds: float, fraction: float, cpus: float, spot: bool
) -> None:
    cost = cost_dollars(node.name, seconds, fraction, cpus, spot=spot)
    whole = seconds * price_per_second(node, spot=spot)
    assert cost is not None
    assert 0 <= cost <= whole * (1 + 1e-9)
    for share in (fraction / node.gpus, cpus / node.cpus):
        assert cost >= min(1, share) * whole * (1 - 1e-9)


def test_trials_that_fill_a_machine_pay_for_it_once() -> None:
    share = gpu_share(5, G6.card)
    costs = [cost_dollars("g6.xlarge", 3600, share, 1) for _ in range(round(1 / share))]
    assert sum(cost for cost in costs if cost is not None) == pytest.approx(G6.dollars_per_hour_on_demand)


@pytest.mark.parametrize("name", [None, "", "my-workstation"])
def test_an_unknown_machine_has_no_price(name: str | None) -> None:
    assert cost_dollars(name, 1, 1, 1) is None


def test_prices_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = {
        "cloud": "aws",
        "gpu": "H100",
        "gpus": 8,
        "gpu_memory_gib": 79.6,
        "cpus": 128,
        "memory_gib": 1000,
        "dollars_per_hour_on_demand": 20,
        "dollars_per_hour_spot": 10,
    }
    path = tmp_path / "prices.json"
    path.write_text(json.dumps({"g6.xlarge": {"dollars_per_hour_spot": 0.36}, "rack-7": own}))
    monkeypatch.setenv(PRICES, str(path))
    assert cost_dollars("g6.xlarge", 100, 1, 4, spot=True) == pytest.approx(0.01)
    assert node_type("g6.xlarge").dollars_per_hour_on_demand == G6.dollars_per_hour_on_demand
    assert cost_dollars("rack-7", 3600, 1, 1) == pytest.approx(2.5)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "Expecting value"),
        ("[]", "items"),
        ('{"g6.xlarge": {"dollars": 1}}', "dollars"),
        ('{"g6.xlarge": {"dollars_per_hour_spot": -1}}', "must be a positive number, got -1"),
        ('{"g6.xlarge": {"cloud": "azure"}}', "azure"),
        ('{"rack-7": {"gpus": 8}}', "missing"),
    ],
)
def test_a_wrong_file_of_prices_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, says: str) -> None:
    path = tmp_path / "wrong.json"
    path.write_text(text)
    monkeypatch.setenv(PRICES, str(path))
    with pytest.raises(ValueError, match=rf"(?s)wrong\.json.*{says}"):
        node_type("g6.xlarge")


def test_a_missing_file_of_prices_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PRICES, "/no/such/file.json")
    with pytest.raises(ValueError, match="no/such/file"):
        cost_dollars("g6.xlarge", 1, 1, 1)


@pytest.mark.parametrize(("value", "spot"), [("1", True), ("0", False), ("", False)])
def test_spot_machines_say_so(monkeypatch: pytest.MonkeyPatch, value: str, spot: bool) -> None:
    monkeypatch.setenv(SPOT, value)
    assert bought_as_spot() is spot
