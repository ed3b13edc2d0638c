"""The KubeRay manifests: fields, pods by Kubernetes' own schema, and what makes them safe on spot machines."""

from __future__ import annotations

import copy
import json
import re
import shlex
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml

from cluster.nodes import NODE_TYPES
from raysweep.service.driver.node_types import DECLARED
from tests.cluster.kuberay_fields import RESOURCES

ROOT = Path(__file__).resolve().parents[2]
KUBERNETES = "1.30"  # the oldest that KubeRay's users still meet; what it accepts, later ones do
Manifest = dict[str, Any]


def read(name: str) -> list[Manifest]:
    return list(yaml.safe_load_all((ROOT / "cluster" / "kuberay" / name).read_text(encoding="utf-8")))


JOB, CLUSTER = read("rayjob.yaml")[0], read("raycluster.yaml")[0]
SPEC: Manifest = JOB["spec"]["rayClusterSpec"]
HEAD: Manifest = SPEC["headGroupSpec"]["template"]
WORKER: Manifest = SPEC["workerGroupSpecs"][0]["template"]


def environment(template: Manifest) -> dict[str, str]:
    return {variable["name"]: variable["value"] for variable in template["spec"]["containers"][0].get("env", [])}


@pytest.mark.parametrize("manifest", [JOB, CLUSTER], ids=lambda manifest: manifest["kind"])
def test_the_resources_have_only_fields_that_kuberay_knows(manifest: Manifest) -> None:
    jsonschema.validate(manifest, RESOURCES[manifest["kind"]])


@pytest.mark.parametrize("spec", [SPEC, CLUSTER["spec"]], ids=["job", "cluster"])
def test_the_head_declares_what_the_workers_have(spec: Manifest) -> None:
    asked = {
        group["groupName"]: group["template"]["spec"]["containers"][0]["resources"]["requests"]
        for group in spec["workerGroupSpecs"]
    }
    declared = json.loads(environment(spec["headGroupSpec"]["template"])[DECLARED])
    assert declared == {
        name: {"CPU": int(requests["cpu"]), "GPU": int(requests["nvidia.com/gpu"])} for name, requests in asked.items()
    }


@pytest.mark.parametrize("misspelt", ["ttlSecondsAfterFinish", "enableInTreeAutoScaling"])
def test_a_misspelt_field_is_seen(misspelt: str) -> None:
    wrong = copy.deepcopy(JOB)
    (wrong["spec"] if misspelt.startswith("ttl") else wrong["spec"]["rayClusterSpec"])[misspelt] = 1
    with pytest.raises(jsonschema.ValidationError, match=misspelt):
        jsonschema.validate(wrong, RESOURCES["RayJob"])


@pytest.mark.parametrize("template", [HEAD, WORKER], ids=["head", "worker"])
def test_kubernetes_accepts_the_pods(template: Manifest) -> None:
    pod = {"apiVersion": "v1", "kind": "PodTemplate", "metadata": {"name": "raysweep"}, "template": template}
    kubernetes_validate.validate(pod, KUBERNETES, strict=True)


@pytest.mark.parametrize("manifest", read("access.yaml"), ids=lambda manifest: manifest["kind"])
def test_kubernetes_accepts_what_the_pods_need(manifest: Manifest) -> None:
    kubernetes_validate.validate(manifest, KUBERNETES, strict=True)
    assert manifest["kind"] != "Secret"


def test_both_resources_describe_the_same_cluster() -> None:
    ours, theirs = ({**spec, "authOptions": None} for spec in (SPEC, CLUSTER["spec"]))
    assert ours == theirs


def test_the_cluster_grows_from_zero_and_the_head_runs_no_trial() -> None:
    assert SPEC["enableInTreeAutoscaling"] is True
    assert SPEC["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"
    for group in SPEC["workerGroupSpecs"]:
        assert group["replicas"] == group["minReplicas"] == 0 < group["maxReplicas"]


def test_the_drain_ends_before_the_grace_period_does() -> None:
    drain = float(environment(WORKER)["RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S"])
    # What is left is for Ray to end its processes, which it gives about ten seconds.
    assert 0 < drain <= WORKER["spec"]["terminationGracePeriodSeconds"] - 15
    assert WORKER["spec"]["terminationGracePeriodSeconds"] <= 120  # all the time that AWS gives


def test_ray_reads_the_variable_that_sets_the_drain() -> None:
    # A variable of Ray's own, which a later Ray may rename: then the drain would quietly last half a minute.
    from ray._private import ray_constants

    assert hasattr(ray_constants, "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S")


def test_a_worker_says_what_it_is_and_fits_on_it() -> None:
    node = NODE_TYPES[environment(WORKER)["RAYSWEEP_NODE_TYPE"]]
    assert environment(WORKER)["RAYSWEEP_NODE_SPOT"] == "1"
    assert WORKER["spec"]["nodeSelector"]["node.kubernetes.io/instance-type"] == node.name
    requests = WORKER["spec"]["containers"][0]["resources"]["requests"]
    assert int(requests["nvidia.com/gpu"]) == node.gpus
    assert int(requests["cpu"]) < node.cpus
    assert int(requests["memory"].removesuffix("Gi")) < node.memory_gib


@pytest.mark.parametrize("template", [HEAD, WORKER], ids=["head", "worker"])
def test_pods_are_unprivileged(template: Manifest) -> None:
    assert template["spec"]["securityContext"]["runAsNonRoot"] is True
    for container in template["spec"]["containers"]:
        assert container["securityContext"]["allowPrivilegeEscalation"] is False
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        assert not container["image"].endswith(":latest")


def test_the_token_is_asked_for_and_stands_in_no_file() -> None:
    assert SPEC["authOptions"]["mode"] == CLUSTER["spec"]["authOptions"]["mode"] == "token"
    assert CLUSTER["spec"]["authOptions"]["secretName"] == "raysweep-token"
    for path in (ROOT / "cluster" / "kuberay").iterdir():
        assert not re.search(
            r"(auth_token|SECRET_ACCESS_KEY)[:=]\s*[\w\"']*[0-9a-f]{8}", path.read_text(encoding="utf-8")
        )


def test_the_versions_are_those_of_the_pins() -> None:
    pins = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    assert f"ray=={SPEC['rayVersion']}" in pins


def test_the_job_runs_a_study_that_exists_and_goes_when_it_is_done() -> None:
    python, option, module, *overrides = shlex.split(JOB["spec"]["entrypoint"])
    assert (python, option) == ("python", "-m")
    assert (ROOT / Path(*module.split("."))).with_suffix(".py").exists()
    assert any(override.startswith("results=s3://") for override in overrides)
    assert JOB["spec"]["shutdownAfterJobFinishes"] is True
    assert JOB["spec"]["backoffLimit"] > 0
    assert "RAYSWEEP_PROVENANCE" in yaml.safe_load(JOB["spec"]["runtimeEnvYAML"])["env_vars"]


@pytest.mark.parametrize("manifest", [JOB, CLUSTER], ids=lambda manifest: manifest["kind"])
def test_kueue_can_queue_it(manifest: Manifest) -> None:
    assert manifest["metadata"]["labels"]["kueue.x-k8s.io/queue-name"]
    assert manifest["metadata"]["annotations"]["kueue.x-k8s.io/elastic-job"] == "true"
    assert "suspend" not in manifest["spec"]  # Kueue sets it; set by hand without Kueue, it would wait for ever
