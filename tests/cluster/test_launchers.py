"""The cluster launcher's files, by Ray's own schema and by what Ray's autoscaler makes of them."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config

from cluster.nodes import NODE_TYPES

ROOT = Path(__file__).resolve().parents[2]
Config = dict[str, Any]


@pytest.fixture(params=["aws", "gcp"])
def written(request: pytest.FixtureRequest) -> Config:
    config: Config = yaml.safe_load((ROOT / "cluster" / f"{request.param}.yaml").read_text(encoding="utf-8"))
    assert config["provider"]["type"] == request.param
    return config


@pytest.fixture
def prepared(written: Config, caplog: pytest.LogCaptureFixture) -> Config:
    """Return the configuration with Ray's defaults filled in, as `ray up` does before it asks the cloud anything."""
    caplog.set_level(logging.WARNING)
    config: Config = prepare_config(written)
    return config


def workers(config: Config) -> dict[str, Config]:
    return {name: kind for name, kind in config["available_node_types"].items() if name != config["head_node_type"]}


def docker_options(config: Config, kind: Config | None = None) -> set[str]:
    """Return what `docker run` gets: a node type's own options replace the general ones for workers, as Ray has it."""
    docker = {**config["docker"], **(kind or {}).get("docker", {})}
    return {*docker.get("run_options", []), *docker.get("worker_run_options" if kind else "head_run_options", [])}


def test_ray_accepts_the_file(prepared: Config) -> None:
    validate_config(prepared)


def test_rays_defaults_add_no_command(written: Config, prepared: Config) -> None:
    # They would install another version of Ray on every node, at every start.
    for key in ("setup_commands", "head_setup_commands", "worker_setup_commands", "initialization_commands"):
        assert prepared[key] == written[key]
    assert not any("ray-wheels" in command for command in prepared["head_setup_commands"])


def test_the_head_is_on_demand_and_runs_no_trial(prepared: Config) -> None:
    head = prepared["available_node_types"][prepared["head_node_type"]]
    assert head["resources"] == {"CPU": 0, "GPU": 0}
    assert "spot" not in str(head["node_config"]).lower()
    assert any("--num-cpus=0" in command for command in prepared["head_start_ray_commands"])


def test_workers_are_spot_machines_from_zero_to_a_bound(prepared: Config) -> None:
    assert 0 < prepared["max_workers"] <= 32
    assert prepared["provider"]["cache_stopped_nodes"] is False
    for kind in workers(prepared).values():
        assert kind["min_workers"] == 0
        assert 0 < kind["max_workers"] <= prepared["max_workers"]
        machine = kind["node_config"]
        market = machine.get("InstanceMarketOptions", {}).get("MarketType")
        assert "spot" in (market, machine.get("scheduling", {}).get("provisioningModel", "").lower())


def test_a_worker_says_what_it_is_and_costs(prepared: Config) -> None:
    for name, kind in workers(prepared).items():
        node = NODE_TYPES[name]
        machine = kind["node_config"]
        assert machine.get("InstanceType", machine.get("machineType")) == name
        assert kind["resources"] == {"CPU": node.cpus, "GPU": node.gpus}
        options = docker_options(prepared, kind)
        assert {f"--env RAYSWEEP_NODE_TYPE={name}", "--env RAYSWEEP_NODE_SPOT=1"} <= options
        assert "--env NVIDIA_VISIBLE_DEVICES=all" in options


def test_every_node_asks_for_the_token_and_no_file_holds_it(prepared: Config) -> None:
    for kind in (None, *workers(prepared).values()):
        assert "--env RAY_AUTH_MODE=token" in docker_options(prepared, kind)
    assert prepared["file_mounts"]["/home/ray/.ray/auth_token"] == "~/.ray/auth_token"
    assert "RAY_AUTH_TOKEN=" not in str(prepared)


def test_files_for_the_container_can_be_read_there(prepared: Config) -> None:
    mounted = f"/tmp/ray_tmp_mount/{prepared['cluster_name']}"
    for target in prepared["file_mounts"]:
        assert f"chmod a+r {mounted}{target}" in prepared["initialization_commands"]


def test_workers_watch_for_spot_notices(prepared: Config) -> None:
    start, watch = prepared["worker_start_ray_commands"][-2:]
    assert start.startswith("ray start --address=$RAY_HEAD_IP:6379")
    assert "python -m cluster.drain --address=$RAY_HEAD_IP:6379" in watch
    assert watch.endswith("&")


def test_only_workers_on_the_machines_own_network_reach_its_metadata(prepared: Config) -> None:
    if prepared["provider"]["type"] == "aws":
        for kind in prepared["available_node_types"].values():
            options = kind["node_config"]["MetadataOptions"]
            assert options == {"HttpTokens": "required", "HttpPutResponseHopLimit": 1}


def test_machines_have_a_role_of_their_own_and_no_keys(prepared: Config) -> None:
    def role(kind: Config) -> str:
        machine = kind["node_config"]
        return str(machine.get("IamInstanceProfile") or machine["serviceAccounts"])

    assert "raysweep-head" in role(prepared["available_node_types"][prepared["head_node_type"]])
    assert all("raysweep-worker" in role(kind) for kind in workers(prepared).values())
    assert "ACCESS_KEY" not in str(prepared)
