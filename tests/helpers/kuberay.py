"""JSON schemas of KubeRay's objects: every field that KubeRay 1.7.0 publishes for `ray.io/v1`, with its type and its choices.

Written from the published reference of the API (its definitions themselves are in no package). A field that is not here is
refused, as a Kubernetes server drops it. Pods are left to Kubernetes' own schemas.
"""

from typing import Any

STRING, FLAG, OBJECT = {"type": "string"}, {"type": "boolean"}, {"type": "object"}
NUMBER = {"type": "integer", "minimum": 0}
STRINGS = {"type": "object", "additionalProperties": STRING}
LIST = {"type": "array"}


def _choice(*values: str) -> dict[str, Any]:
    return {"enum": list(values)}


def _object(required: tuple[str, ...] = (), **fields: Any) -> dict[str, Any]:
    return {"type": "object", "properties": fields, "required": list(required), "additionalProperties": False}


HEAD_GROUP = _object(
    ("template",),
    template=OBJECT,
    headService=OBJECT,
    enableIngress=FLAG,
    ingressOptions=_object(host=STRING, path=STRING, pathType=_choice("Exact", "Prefix", "ImplementationSpecific"), tls=LIST),
    resources=STRINGS,
    labels=STRINGS,
    rayStartParams=STRINGS,
    serviceType=STRING,
)
WORKER_GROUP = _object(
    ("groupName", "template"),
    suspend=FLAG,
    groupName=STRING,
    replicas=NUMBER,
    minReplicas=NUMBER,
    maxReplicas=NUMBER,
    idleTimeoutSeconds=NUMBER,
    priority={"type": "integer"},
    resources=STRINGS,
    labels=STRINGS,
    rayStartParams=STRINGS,
    template=OBJECT,
    scaleStrategy=_object(workersToDelete={"type": "array", "items": STRING}),
    numOfHosts=NUMBER,
)
CLUSTER = _object(
    ("headGroupSpec",),
    upgradeStrategy=_object(type=_choice("Recreate", "None")),
    authOptions=_object(enableK8sTokenAuth=FLAG, secretName=STRING, mode=_choice("disabled", "token")),
    suspend=FLAG,
    managedBy=_choice("ray.io/kuberay-operator", "kueue.x-k8s.io/multikueue"),
    autoscalerOptions=_object(
        resources=OBJECT,
        image=STRING,
        imagePullPolicy=_choice("Always", "IfNotPresent", "Never"),
        securityContext=OBJECT,
        idleTimeoutSeconds=NUMBER,
        upscalingMode=_choice("Default", "Aggressive", "Conservative"),
        version=_choice("v1", "v2"),
        env=LIST,
        envFrom=LIST,
        volumeMounts=LIST,
        command={"type": "array", "items": STRING},
        args={"type": "array", "items": STRING},
    ),
    headServiceAnnotations=STRINGS,
    enableInTreeAutoscaling=FLAG,
    gcsFaultToleranceOptions=OBJECT,
    historyServerOptions=OBJECT,
    networkPolicy=OBJECT,
    tlsOptions=_object(enabled=FLAG),
    headGroupSpec=HEAD_GROUP,
    rayVersion=STRING,
    workerGroupSpecs={"type": "array", "items": WORKER_GROUP},
)
JOB = _object(
    ("entrypoint", "rayClusterSpec"),
    activeDeadlineSeconds={"type": "integer", "minimum": 1},
    backoffLimit=NUMBER,
    rayClusterSpec=CLUSTER,
    submitterPodTemplate=OBJECT,
    metadata=STRINGS,
    clusterSelector=STRINGS,
    submitterConfig=_object(backoffLimit=NUMBER),
    managedBy=_choice("ray.io/kuberay-operator", "kueue.x-k8s.io/multikueue"),
    deletionStrategy=OBJECT,
    entrypoint=STRING,
    runtimeEnvYAML=STRING,
    jobId=STRING,
    submissionMode=_choice("K8sJobMode", "HTTPMode", "InteractiveMode", "SidecarMode"),
    entrypointResources=STRING,
    entrypointNumCpus={"type": "number"},
    entrypointNumGpus={"type": "number"},
    ttlSecondsAfterFinished=NUMBER,
    preRunningDeadlineSeconds={"type": "integer", "minimum": 1},
    shutdownAfterJobFinishes=FLAG,
    suspend=FLAG,
)
SERVICE = _object(
    ("serveConfigV2", "rayClusterConfig"),
    rayClusterDeletionDelaySeconds=NUMBER,
    serveService=OBJECT,
    upgradeStrategy=_object(
        type=_choice("NewClusterWithIncrementalUpgrade", "NewCluster", "None"), clusterUpgradeOptions=OBJECT
    ),
    managedBy=_choice("ray.io/kuberay-operator", "kueue.x-k8s.io/multikueue"),
    serveConfigV2=STRING,
    rayClusterConfig=CLUSTER,
    excludeHeadPodFromServeSvc=FLAG,
    suspend=FLAG,
)
KINDS = {
    kind: _object(
        ("apiVersion", "kind", "metadata", "spec"),
        apiVersion={"const": "ray.io/v1"},
        kind={"const": kind},
        metadata=_object(
            ("name",),
            name={"type": "string", "pattern": "^[a-z]([a-z0-9-]{0,40}[a-z0-9])?$"},
            namespace=STRING,
            labels=STRINGS,
            annotations=STRINGS,
        ),
        spec=spec,
    )
    for kind, spec in (("RayCluster", CLUSTER), ("RayJob", JOB), ("RayService", SERVICE))
}
"""Kind -> schema of the whole object."""
