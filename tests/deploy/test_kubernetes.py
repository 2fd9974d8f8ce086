"""Manifests are held against the schemas of Kubernetes, what KubeRay's types demand, and the real command line."""

import json
import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import typer
import yaml
from packaging.requirements import Requirement

from service.cli import app

FOLDER = Path(__file__).parent.parent.parent / "deploy" / "kubernetes"
FILES = sorted(FOLDER.glob("*.yaml"))

JOB_FIELDS = {
    "submissionMode",
    "entrypoint",
    "backoffLimit",
    "shutdownAfterJobFinishes",
    "ttlSecondsAfterFinished",
    "rayClusterSpec",
}
"""Of KubeRay's RayJobSpec (ray-operator/apis/ray/v1/rayjob_types.go), as far as they are used."""

HEAD_FIELDS = {"rayStartParams", "template"}
WORKER_FIELDS = {"groupName", "replicas", "minReplicas", "maxReplicas", "rayStartParams", "template"}
"""Of HeadGroupSpec and WorkerGroupSpec (raycluster_types.go): those that some version of it demands, and `replicas`."""


def documents(name: str) -> dict[str, dict[str, Any]]:
    """The documents of a manifest, by their kinds."""
    return {document["kind"]: document for document in yaml.safe_load_all((FOLDER / name).read_text())}


def arguments_of(audit: list[str]) -> dict[str, Any]:
    """What `isthmus audit` takes a command for; fails as the command would."""
    command = typer.main.get_command(app).commands["audit"]
    assert audit[:2] == ["isthmus", "audit"]
    return command.make_context("isthmus audit", audit[2:]).params


def pods(name: str) -> list[dict[str, Any]]:
    """The specs of all pods of a manifest."""
    kinds = documents(name)
    if "Job" in kinds:
        return [kinds["Job"]["spec"]["template"]["spec"]]
    cluster = kinds["RayJob"]["spec"]["rayClusterSpec"]
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    return [group["template"]["spec"] for group in groups]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_every_document_is_what_kubernetes_takes(file: Path) -> None:
    for kind, document in documents(file.name).items():
        if kind != "RayJob":
            kubernetes_validate.validate(document, kubernetes_validate.latest_version(), strict=True)


def test_a_misspelt_field_does_not_pass() -> None:
    job = documents("audit-job.yaml")["Job"]
    job["spec"]["template"]["spec"]["restartpolicy"] = "OnFailure"
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(job, kubernetes_validate.latest_version(), strict=True)


def test_the_ray_job_has_the_fields_that_kuberay_knows_and_demands() -> None:
    job = documents("audit-rayjob.yaml")["RayJob"]
    assert job["apiVersion"] == "ray.io/v1"
    assert set(job["spec"]) == JOB_FIELDS
    assert job["spec"]["submissionMode"] in ("K8sJobMode", "HTTPMode", "InteractiveMode")
    cluster = job["spec"]["rayClusterSpec"]
    assert set(cluster) == {"rayVersion", "headGroupSpec", "workerGroupSpecs"}
    assert set(cluster["headGroupSpec"]) == HEAD_FIELDS
    for group in [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]:
        assert all(isinstance(value, str) for value in group["rayStartParams"].values())
        template = {"apiVersion": "v1", "kind": "PodTemplate", "template": group["template"]}
        kubernetes_validate.validate(template, kubernetes_validate.latest_version(), strict=True)
    for group in cluster["workerGroupSpecs"]:
        assert set(group) == WORKER_FIELDS
        assert group["minReplicas"] <= group["replicas"] <= group["maxReplicas"]


def test_the_job_runs_a_command_that_there_is() -> None:
    (container,) = documents("audit-job.yaml")["Job"]["spec"]["template"]["spec"]["containers"]
    options = arguments_of(container["command"] + container["args"])
    assert options["engine"].value == "embedded"
    assert options["readers"] == int(container["resources"]["requests"]["cpu"])
    assert options["metrics_port"] == container["ports"][0]["containerPort"]


def test_the_ray_job_has_as_many_workers_as_gpus_and_a_core_for_each_reader() -> None:
    spec = documents("audit-rayjob.yaml")["RayJob"]["spec"]
    options = arguments_of(shlex.split(spec["entrypoint"]))
    (group,) = spec["rayClusterSpec"]["workerGroupSpecs"]
    (container,) = group["template"]["spec"]["containers"]
    assert (options["engine"].value, options["address"], options["device"]) == ("ray", "auto", "cuda")
    assert container["resources"]["limits"]["nvidia.com/gpu"] == 1
    assert options["workers"] == group["replicas"]
    assert options["readers"] == int(container["resources"]["requests"]["cpu"])
    # Otherwise a worker would be placed beside the process that writes.
    assert spec["rayClusterSpec"]["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"


def test_the_ray_version_is_one_that_the_extra_allows() -> None:
    project = tomllib.loads((FOLDER.parent.parent / "pyproject.toml").read_text())["project"]
    (needed,) = project["optional-dependencies"]["ray"]
    version = documents("audit-rayjob.yaml")["RayJob"]["spec"]["rayClusterSpec"]["rayVersion"]
    assert version in Requirement(needed).specifier
    # KubeRay goes by it for what the image's own Ray can do.
    assert f"\nray=={version} " in (FOLDER.parent / "locks" / "cuda.txt").read_text()


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_pods_are_closed_and_write_only_where_they_must(file: Path) -> None:
    for pod in pods(file.name):
        assert pod["automountServiceAccountToken"] is False
        assert pod["securityContext"]["runAsNonRoot"] is True
        for container in pod["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            # Nothing but the mounted places can be written, and the user has no entry that names a home.
            assert {"HOME": "/tmp", "USER": "isthmus"}.items() <= {
                variable["name"]: variable["value"] for variable in container["env"]
            }.items()
            places = {mount["mountPath"]: mount for mount in container["volumeMounts"]}
            assert places["/images"]["readOnly"] is True
            assert set(places) <= {"/images", "/audits", "/tmp"}
            assert {mount["name"] for mount in container["volumeMounts"]} == {
                volume["name"] for volume in pod["volumes"]
            }
            assert container["resources"]["limits"]["memory"] == container["resources"]["requests"]["memory"]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_only_one_pod_writes_the_audit_below_what_is_kept(file: Path) -> None:
    writers = [pod for pod in pods(file.name) if "audits" in {volume["name"] for volume in pod["volumes"]}]
    (writer,) = writers
    (claim,) = [volume for volume in writer["volumes"] if volume["name"] == "audits"]
    kinds = documents(file.name)
    assert claim["persistentVolumeClaim"]["claimName"] == kinds["PersistentVolumeClaim"]["metadata"]["name"]
    text = (FOLDER / file.name).read_text()
    assert "--out=/audits/" in text


def test_only_the_cluster_itself_and_the_operator_reach_the_ports_of_ray() -> None:
    kinds = documents("audit-rayjob.yaml")
    policy = kinds["NetworkPolicy"]["spec"]
    cluster = kinds["RayJob"]["spec"]["rayClusterSpec"]
    chosen = policy["podSelector"]["matchLabels"].items()
    for group in [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]:
        assert chosen <= group["template"]["metadata"]["labels"].items()
    assert all(rule["from"] for rule in policy["ingress"])


def test_metrics_are_all_that_others_can_reach() -> None:
    kinds = documents("audit-rayjob.yaml")
    options = arguments_of(shlex.split(kinds["RayJob"]["spec"]["entrypoint"]))
    (rule,) = [
        rule for rule in kinds["NetworkPolicy"]["spec"]["ingress"] if rule["from"] == [{"namespaceSelector": {}}]
    ]
    assert rule["ports"] == [{"port": options["metrics_port"]}]


def test_pods_are_what_the_image_is_made_for() -> None:
    dockerfile = (FOLDER.parent.parent / "Dockerfile").read_text()
    # The last stage alone is the image.
    stage = dockerfile[dockerfile.rindex("\nFROM ") :]
    (user, group) = re.findall(r"^USER (\d+):(\d+)$", stage, re.MULTILINE)[0]
    (entry,) = re.findall(r"^ENTRYPOINT (.+)$", stage, re.MULTILINE)
    for file in FILES:
        for pod in pods(file.name):
            security = pod["securityContext"]
            assert (security["runAsUser"], security["runAsGroup"]) == (int(user), int(group))
    (container,) = pods("audit-job.yaml")[0]["containers"]
    assert container["command"] == json.loads(entry)
    version = tomllib.loads((FOLDER.parent.parent / "pyproject.toml").read_text())["project"]["version"]
    assert container["image"] == f"registry.example.org/isthmus:{version}"


def test_ray_is_asked_for_its_health_without_tools_that_the_image_lacks() -> None:
    for index, pod in enumerate(pods("audit-rayjob.yaml")):
        (container,) = pod["containers"]
        live, ready = (container[name]["httpGet"] for name in ("livenessProbe", "readinessProbe"))
        assert (live["path"], live["port"]) == ("/api/local_raylet_healthz", 52365)
        # The head's dashboard knows of the whole cluster, and listens where the kubelet reaches it.
        assert ready["port"] == (8265 if index == 0 else 52365)
