"""What an autoscaler's configuration says of the nodes that could come."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from raysweep.service.driver.capacity import refuse_what_no_type_gives
from raysweep.service.driver.node_types import configuration_file, types_in
from raysweep.service.errors import ClusterError
from raysweep.service.study import Resources

CLUSTER = Path(__file__).resolve().parents[3] / "cluster"


def of_types(**types: dict[str, Any]) -> dict[str, Any]:
    return {"max_workers": 4, "available_node_types": types}


def test_types_that_may_be_started_are_those_with_room_for_one_node() -> None:
    configuration = of_types(
        head={"resources": {"CPU": 1}, "max_workers": 0}, gpu={"resources": {"CPU": 8, "GPU": 2}, "max_workers": 3}
    )
    assert types_in(configuration) == {"gpu": {"CPU": 8, "GPU": 2}}
    assert types_in(of_types(cpu={"resources": {"CPU": 8}})) == {"cpu": {"CPU": 8}}


def test_types_that_do_not_say_what_they_have_are_not_guessed() -> None:
    assert types_in(of_types(gpu={"resources": {"CPU": 8}}, other={"resources": {}})) is None
    assert types_in(of_types(other={})) is None


@pytest.mark.parametrize("file", ["aws.yaml", "gcp.yaml"])
def test_the_launcher_files_say_what_their_types_have(file: str) -> None:
    types = types_in(yaml.safe_load((CLUSTER / file).read_text(encoding="utf-8")))
    assert types is not None
    assert max(node["GPU"] for node in types.values()) == 4


def test_what_some_type_gives_is_waited_for_and_the_rest_is_refused() -> None:
    types = {"small": {"CPU": 4.0, "GPU": 1.0}, "large": {"CPU": 48.0, "GPU": 4.0}}
    refuse_what_no_type_gives(Resources(cpus=12, gpus=4), types, "too much")
    refuse_what_no_type_gives(Resources(cpus=96), None, "nobody knows")
    with pytest.raises(
        ClusterError, match=r"too much, and none .*: small \(4 CPUs and 1 GPUs\), large \(48 CPUs and 4 GPUs\)"
    ):
        refuse_what_no_type_gives(Resources(cpus=8, gpus=8), types, "too much")


def monitor(address: str, *words: str) -> list[str]:
    return ["python", "-u", "/somewhere/monitor.py", f"--gcs-address={address}", *words]


def test_the_configuration_is_that_of_this_cluster_s_monitor() -> None:
    """Other processes of a head are named alike, and a machine may have heads of other clusters, in any order."""
    log_monitor = ["python", "/somewhere/log_monitor.py", "--gcs-address=10.0.0.1:6379"]
    ours = monitor("10.0.0.1:6379", "--autoscaling-config=/ours.yaml")
    others = [monitor("10.0.0.1:7000"), monitor("10.0.0.1:7001", "--autoscaling-config=/theirs.yaml")]
    address = "--gcs-address=10.0.0.1:6379"
    assert configuration_file([log_monitor, *others, ours], address) == Path("/ours.yaml")
    assert configuration_file([log_monitor, ours], "--gcs-address=head:6379") == Path("/ours.yaml")
    assert configuration_file([log_monitor, *others], address) is None
    assert configuration_file([log_monitor, others[0]], address) is None
    assert configuration_file([], address) is None
