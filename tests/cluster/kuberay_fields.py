"""The fields of KubeRay's resources, ray.io/v1 of KubeRay 1.5 and 1.6, but for the pod templates.

Written by hand as a JSON Schema, and as narrow as the manifests of this project need: a field that is not listed here
is refused, as the server refuses one that it does not know under strict validation. Pod templates are checked against
Kubernetes' own schema.
"""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
FLAG: Schema = {"type": "boolean"}
COUNT: Schema = {"type": "integer", "minimum": 0}
TEXTS: Schema = {"type": "object", "additionalProperties": TEXT}
ANY_OBJECT: Schema = {"type": "object"}


def record(required: tuple[str, ...] = (), **properties: Schema) -> Schema:
    """Return the schema of an object with these fields and no others."""
    return {"type": "object", "properties": properties, "required": list(required), "additionalProperties": False}


AUTOSCALER = record(
    idleTimeoutSeconds=COUNT,
    upscalingMode={"enum": ["Default", "Aggressive", "Conservative"]},
    version={"enum": ["v1", "v2"]},
    resources=ANY_OBJECT,
    imagePullPolicy=TEXT,
    securityContext=ANY_OBJECT,
    env={"type": "array"},
    envFrom={"type": "array"},
)
HEAD = record(
    ("template",),
    rayStartParams=TEXTS,
    template=ANY_OBJECT,
    serviceType=TEXT,
    enableIngress=FLAG,
    headService=ANY_OBJECT,
)
WORKERS = record(
    ("groupName", "template", "minReplicas", "maxReplicas"),
    groupName=TEXT,
    replicas=COUNT,
    minReplicas=COUNT,
    maxReplicas=COUNT,
    numOfHosts=COUNT,
    idleTimeoutSeconds=COUNT,
    rayStartParams=TEXTS,
    template=ANY_OBJECT,
)
CLUSTER = record(
    ("headGroupSpec",),
    rayVersion=TEXT,
    authOptions=record(mode={"enum": ["disabled", "token"]}, secretName=TEXT),
    enableInTreeAutoscaling=FLAG,
    autoscalerOptions=AUTOSCALER,
    headGroupSpec=HEAD,
    workerGroupSpecs={"type": "array", "items": WORKERS},
    suspend=FLAG,
)
JOB = record(
    ("entrypoint", "rayClusterSpec"),
    entrypoint=TEXT,
    runtimeEnvYAML=TEXT,
    backoffLimit=COUNT,
    submitterConfig=record(backoffLimit=COUNT),
    submissionMode={"enum": ["K8sJobMode", "HTTPMode", "InteractiveMode", "SidecarMode"]},
    shutdownAfterJobFinishes=FLAG,
    ttlSecondsAfterFinished=COUNT,
    activeDeadlineSeconds=COUNT,
    suspend=FLAG,
    metadata=TEXTS,
    rayClusterSpec=CLUSTER,
)


def resource(kind: str, spec: Schema) -> Schema:
    """Return the schema of a whole resource."""
    metadata = record(name=TEXT, generateName=TEXT, namespace=TEXT, labels=TEXTS, annotations=TEXTS)
    api: Schema = {"const": "ray.io/v1"}
    return record(
        ("apiVersion", "kind", "metadata", "spec"), apiVersion=api, kind={"const": kind}, metadata=metadata, spec=spec
    )


RESOURCES = {"RayJob": resource("RayJob", JOB), "RayCluster": resource("RayCluster", CLUSTER)}
