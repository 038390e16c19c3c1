"""The files under `cluster/`: what their readers (ray up, KubeRay, Ray Serve, docker) demand of them, and that they agree."""

import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import jsonschema
import kuberay
import kubernetes_validate
import pytest
import ray
import yaml
from ray.serve.schema import ServeDeploySchema

from xlret.config import settings_from
from xlret.serve.settings import ServeSettings

ROOT = Path(__file__).resolve().parents[2]
CLUSTER = ROOT / "cluster"
IMAGES = {"registry.example.org/xlret:0.1.0-cpu", "registry.example.org/xlret:0.1.0-cuda"}
KINDS = {"raycluster": "RayCluster", "rayjob": "RayJob", "rayservice": "RayService"}


def read(name: str) -> dict[str, Any]:
    document = yaml.safe_load((CLUSTER / name).read_text(encoding="utf-8"))
    assert isinstance(document, dict)
    return document


@pytest.fixture(params=["aws", "gcp"])
def machines(request: pytest.FixtureRequest) -> dict[str, Any]:
    return read(f"{request.param}.yaml")


def test_ray_up_understands_the_file(machines: dict[str, Any]) -> None:
    schema = Path(ray.__file__).parent / "autoscaler" / "ray-schema.json"
    jsonschema.validate(machines, json.loads(schema.read_text(encoding="utf-8")))
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**machines, "max_worker": 1}, json.loads(schema.read_text(encoding="utf-8")))


def test_machines_of_a_cloud_start_as_the_service_needs_and_ask_for_a_token(machines: dict[str, Any]) -> None:
    kinds = machines["available_node_types"]
    assert machines["head_node_type"] in kinds
    assert kinds[machines["head_node_type"]]["resources"]["CPU"] == 0, "no work on the head"
    assert sum(kind.get("max_workers", 0) for kind in kinds.values()) <= machines["max_workers"]
    images = {machines["docker"]["image"], *(kind["docker"]["worker_image"] for kind in kinds.values() if "docker" in kind)}
    assert images == IMAGES
    assert all("docker" in kind for kind in kinds.values() if kind["resources"].get("GPU"))
    starts = [*machines["head_start_ray_commands"], *machines["worker_start_ray_commands"]]
    assert sum("start-ray.sh ray start" in command for command in starts) == 2
    [token] = machines["file_mounts"]
    assert f"-e RAY_AUTH_TOKEN_PATH={token}" in machines["docker"]["run_options"]
    assert "--dashboard-host=127.0.0.1" in machines["head_start_ray_commands"][-1]


def ray_clusters() -> Iterator[tuple[str, dict[str, Any]]]:
    for name, kind in KINDS.items():
        document = read(f"kuberay/{name}.yaml")
        field = {"RayCluster": "spec", "RayJob": "rayClusterSpec", "RayService": "rayClusterConfig"}[kind]
        yield name, document["spec"] if field == "spec" else document["spec"][field]


@pytest.mark.parametrize("name", KINDS)
def test_an_object_has_fields_that_kuberay_knows_with_their_types(name: str) -> None:
    document = read(f"kuberay/{name}.yaml")
    jsonschema.validate(document, kuberay.KINDS[KINDS[name]])
    document["spec"]["rayVersions"] = "2.60.0"
    with pytest.raises(jsonschema.ValidationError, match="rayVersions"):
        jsonschema.validate(document, kuberay.KINDS[KINDS[name]])


@pytest.mark.parametrize("version", ["1.31.0", "1.37.0"])
def test_kubernetes_takes_the_pods(version: str) -> None:
    """Against its own schemas, of an old and a new release, in which a field that it does not know is an error."""
    for _, spec in ray_clusters():
        for group in (spec["headGroupSpec"], *spec["workerGroupSpecs"]):
            pod = {"apiVersion": "v1", "kind": "PodTemplate", "metadata": {"name": "x"}, "template": group["template"]}
            kubernetes_validate.validate(pod, version, strict=True)
    pod["template"]["spec"]["containers"][0]["volumeMount"] = []
    with pytest.raises(kubernetes_validate.ValidationError, match="volumeMount"):
        kubernetes_validate.validate(pod, version, strict=True)


@pytest.mark.parametrize(("name", "spec"), list(ray_clusters()), ids=list(KINDS))
def test_pods_are_whole(name: str, spec: dict[str, Any]) -> None:
    assert spec["rayVersion"] == pin("ray")
    assert spec["authOptions"] == {"mode": "token"}
    head, groups = spec["headGroupSpec"], spec["workerGroupSpecs"]
    assert head["rayStartParams"]["num-cpus"] == "0"
    assert len({group["groupName"] for group in groups}) == len(groups)
    for group in groups:
        assert group["minReplicas"] <= group["replicas"] <= group["maxReplicas"]
    for group in (head, *groups):
        check_pod(group["template"], is_worker=group is not head)


def check_pod(template: Mapping[str, Any], *, is_worker: bool) -> None:
    assert template["metadata"]["annotations"] == {"ray.io/overwrite-container-cmd": "true"}
    pod = template["spec"]
    [container] = pod["containers"]
    assert container["image"] in IMAGES
    assert container["args"] == ['exec start-ray.sh /bin/bash -c "$KUBERAY_GEN_RAY_START_CMD"']
    resources = container["resources"]
    assert resources["requests"] == resources["limits"], "Ray counts what a pod may use; less would be taken from it"
    assert {"cpu", "memory"} <= resources["limits"].keys()
    assert ("nvidia.com/gpu" in resources["limits"]) == container["image"].endswith("-cuda")
    assert {mount["name"] for mount in container["volumeMounts"]} == {volume["name"] for volume in pod["volumes"]}
    assert {"name": "XLRET_HOME", "value": "/shared"} in container["env"]
    if is_worker:  # it drains before it goes, and is given the time for it
        [script, seconds] = container["lifecycle"]["preStop"]["exec"]["command"]
        assert (CLUSTER / "docker" / script).exists()
        assert pod["terminationGracePeriodSeconds"] > int(seconds)


def test_the_service_on_kubernetes_is_that_of_serve_yaml_with_encoders_on_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XLRET_RELEASES", "/shared/releases")
    monkeypatch.setenv("XLRET_HOME", "/shared")
    plain = read("serve.yaml")
    on_kubernetes = yaml.safe_load(read("kuberay/rayservice.yaml")["spec"]["serveConfigV2"])
    for config in (plain, on_kubernetes):
        [application] = ServeDeploySchema.model_validate(config).applications
        module, _, function = application.import_path.partition(":")
        assert find_spec(module) is not None
        assert function == "app_from_config"
        settings = settings_from(ServeSettings, application.args)
        assert settings.release == Path("/shared/releases")
        for replicas in (settings.ingress, settings.encoder, settings.shard, settings.reranker):
            assert replicas.least < replicas.most, "replicas follow the load"
        assert settings.batch.encoder_calls >= settings.encoder.most, "else replicas of the largest scale would be idle"
    of_plain, of_kubernetes = (config.pop("applications")[0].pop("args") for config in (plain, on_kubernetes))
    assert plain == on_kubernetes
    assert {key for key in of_plain.keys() | of_kubernetes.keys() if of_plain.get(key) != of_kubernetes.get(key)} == {
        "release", "encoder", "precision",
    }  # fmt: skip
    assert (of_kubernetes["encoder"]["gpus"], of_kubernetes["precision"]) == (1, "bfloat16")


def test_a_bucket_does_where_a_directory_is_shared(machines: dict[str, Any]) -> None:
    """XLRET_HOME names it, what mounts the directory goes, and nothing else of it is left."""
    home, bucket = "XLRET_HOME=/shared", "XLRET_HOME=s3://BUCKET/xlret"
    options = machines["docker"]["run_options"]
    machines["docker"]["run_options"] = [option.replace(home, bucket) for option in options if not option.startswith("-v ")]
    assert all("/shared" in command for command in machines.pop("initialization_commands"))
    schema = Path(ray.__file__).parent / "autoscaler" / "ray-schema.json"
    jsonschema.validate(machines, json.loads(schema.read_text(encoding="utf-8")))
    assert json.dumps(machines).count(bucket) == 1
    for name, kind in KINDS.items():
        document = read(f"kuberay/{name}.yaml")
        without_mounts(document)
        jsonschema.validate(document, kuberay.KINDS[kind])
        assert not re.search(r"[/-]shared", json.dumps(document))
    assert "/shared" not in json.dumps(machines)


def without_mounts(value: Any) -> None:
    """Takes volumes and their mounts out of an object, and has XLRET_HOME name a bucket."""
    if isinstance(value, dict):
        for field in ("volumes", "volumeMounts"):
            value.pop(field, None)
        if value.get("name") == "XLRET_HOME":
            value["value"] = "s3://BUCKET/xlret"
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        without_mounts(inner)


def test_the_image_holds_the_pins_and_the_code() -> None:
    dockerfile = (CLUSTER / "docker" / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    [install] = re.findall(r"pip install .*", dockerfile)
    assert "--constraint constraints.txt" in install
    extras = re.search(r"'\.\[([a-z,]+)\]'", install)
    assert extras is not None
    assert set(extras[1].split(",")) <= project["project"]["optional-dependencies"].keys()
    assert re.findall(r"^ARG (\w+)=(\S+)", dockerfile, re.M) == [("PYTHON", "3.11"), ("TORCH", "cpu")]
    assert project["project"]["requires-python"] == ">=3.11"
    sent = (CLUSTER / "docker" / "Dockerfile.dockerignore").read_text(encoding="utf-8")
    for line in re.findall(r"^COPY (?!--from)(.+)", dockerfile, re.M):
        for source in line.split()[:-1]:
            assert (ROOT / source).exists()
            assert f"!{source}\n" in sent or f"!{Path(source).parent}/*{Path(source).suffix}\n" in sent, source
    assert "RAY_AUTH_MODE=token" in dockerfile


def test_no_file_holds_a_secret() -> None:
    for path in sorted(CLUSTER.rglob("*")):
        if path.is_file() and path.suffix in {".yaml", ".sh", ""}:
            text = path.read_text(encoding="utf-8")
            assert not re.search(r"(TOKEN|KEYS?|PASSWORD)[=:] *[\"']?[A-Za-z0-9]{8,}", text), path


def pin(package: str) -> str:
    line = re.search(rf"^{package}==(\S+)$", (ROOT / "constraints.txt").read_text(encoding="utf-8"), re.M)
    assert line is not None, package
    return line[1]
