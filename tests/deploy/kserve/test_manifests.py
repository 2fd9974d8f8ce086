"""KServe's manifests are what it takes, and name what there is."""

import json
import urllib.parse
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import typer

from service.bundles import shipped_names
from service.cli import app
from service.serving.flags import settings_of, unknown_variables, variable_of
from service.settings import ServeSettings

Manifests = dict[tuple[str, str], dict[str, Any]]
NAME = "own-bundle"


def servers(manifests: Manifests) -> Iterator[tuple[str, dict[str, Any]]]:
    """Containers of Isthmus, by the names of their files."""
    for (file, _), document in manifests.items():
        spec = document["spec"].get("predictor", document["spec"])
        for container in spec.get("containers", []):
            if "/isthmus:" in container["image"]:
                yield file, container


def environment_of(container: dict[str, Any]) -> dict[str, str]:
    return {variable["name"]: variable["value"] for variable in container["env"]}


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[str, Any]], ServeSettings]:
    """What the server makes of a container."""

    def settings_of_container(container: dict[str, Any]) -> ServeSettings:
        for variable in map(variable_of, ServeSettings.model_fields):
            monkeypatch.delenv(variable, raising=False)
        for name, value in environment_of(container).items():
            if name.startswith("ISTHMUS_"):
                monkeypatch.setenv(name, value)
        command, *flags = [argument.replace("{{.Name}}", NAME) for argument in container["args"]]
        params = typer.main.get_command(app).commands[command].make_context("isthmus serve", flags).params
        return settings_of(params)

    return settings_of_container


def test_every_document_is_what_kserve_takes(manifests: Manifests, check: Callable[..., None]) -> None:
    assert len(manifests) == 6
    for document in manifests.values():
        check(document)


def test_every_variable_is_a_setting_or_kserves(manifests: Manifests) -> None:
    found = list(servers(manifests))
    assert [file for file, _ in found] == ["clusterservingruntime.yaml", "inferenceservice.yaml", "logger.yaml"]
    for _, container in found:
        environment = environment_of(container)
        assert unknown_variables(environment) == []
        assert {name for name in environment if not name.startswith("ISTHMUS_")} <= {
            "PROTOCOL",
            "PYTHONSAFEPATH",
            "HOME",
        }


def test_servers_start_with_what_they_are_given(manifests: Manifests, settings: Any) -> None:
    for file, container in servers(manifests):
        made = settings(container)
        # Otherwise it would not start; the other way round the agent could not call it.
        assert made.needs_keys == (made.host == "0.0.0.0")
        assert str(made.host) == ("127.0.0.1" if file == "logger.yaml" else "0.0.0.0")
        mounts = {mount["mountPath"] for mount in container["volumeMounts"]}
        for path in filter(None, (made.keys_file, made.state)):
            assert any(str(path).startswith(mount) for mount in mounts)
        security = container["securityContext"]
        assert security["readOnlyRootFilesystem"] is True
        assert security["capabilities"] == {"drop": ["ALL"]}


def test_every_mount_has_its_volume(manifests: Manifests) -> None:
    for document in manifests.values():
        spec = document["spec"].get("predictor", document["spec"])
        mounted = {mount["name"] for one in spec.get("containers", []) for mount in one.get("volumeMounts", [])}
        assert mounted == {volume["name"] for volume in spec.get("volumes", [])}


def test_probes_ask_routes_of_the_server_on_its_port(manifests: Manifests, settings: Any, routes: set[str]) -> None:
    for _, container in servers(manifests):
        made = settings(container)
        for name in {"startupProbe", "livenessProbe", "readinessProbe"} & set(container):
            probe = container[name]
            if "httpGet" in probe:
                port, path = probe["httpGet"]["port"], probe["httpGet"]["path"]
            else:
                code = probe["exec"]["command"][2]
                compile(code, "probe", "exec")
                url = urllib.parse.urlsplit(code.split("'")[1])
                port, path = url.port, url.path
            assert (port, path in routes) == (made.port, True)
            assert path.endswith("live") == (name == "livenessProbe")


def test_a_graph_asks_for_the_bundle_by_the_name_of_its_service(manifests: Manifests, settings: Any) -> None:
    service = manifests["inferenceservice.yaml", "InferenceService"]
    (container,) = service["spec"]["predictor"]["containers"]
    # KServe asks a custom predictor for /v2/models/NAME/infer where this says so, and by the first protocol otherwise.
    assert environment_of(container)["PROTOCOL"] == "v2"
    assert container["name"] == "kserve-container"
    assert settings(container).bundles == (service["metadata"]["name"],)
    assert service["metadata"]["name"] in shipped_names()
    assert container["ports"][0]["containerPort"] == settings(container).port
    known = {document["metadata"]["name"] for (_, kind), document in manifests.items() if kind == "InferenceService"}
    for file in ("graph-before.yaml", "graph-beside.yaml"):
        for step in manifests[file, "InferenceGraph"]["spec"]["nodes"]["root"]["steps"]:
            assert step["serviceName"] in known


def test_a_runtime_serves_the_bundle_under_the_name_that_kserve_asks_for(manifests: Manifests, settings: Any) -> None:
    runtime = manifests["clusterservingruntime.yaml", "ClusterServingRuntime"]
    service = manifests["clusterservingruntime.yaml", "InferenceService"]
    model = service["spec"]["predictor"]["model"]
    assert service["metadata"]["name"] == NAME
    assert settings(runtime["spec"]["containers"][0]).bundles == (f"{NAME}=/mnt/models",)
    assert model["runtime"] == runtime["metadata"]["name"]
    assert model["modelFormat"]["name"] in [form["name"] for form in runtime["spec"]["supportedModelFormats"]]
    assert model["protocolVersion"] in runtime["spec"]["protocolVersions"]


def test_pods_have_the_time_to_end_that_the_server_takes(manifests: Manifests) -> None:
    fields = ServeSettings.model_fields
    needed = fields["drain_seconds"].default + fields["shutdown_seconds"].default
    for file in ("inferenceservice.yaml", "clusterservingruntime.yaml"):
        predictor = manifests[file, "InferenceService"]["spec"]["predictor"]
        assert predictor["terminationGracePeriodSeconds"] >= needed + 5
        assert predictor["enableServiceLinks"] is False


def test_the_logger_sends_to_the_detector_in_its_pod(manifests: Manifests, settings: Any, routes: set[str]) -> None:
    predictor = manifests["logger.yaml", "InferenceService"]["spec"]["predictor"]
    (container,) = [container for container in predictor["containers"] if container["name"] == "isthmus"]
    made = settings(container)
    url = urllib.parse.urlsplit(predictor["logger"]["url"])
    assert (url.hostname, url.port) == ("localhost", made.port)
    assert url.path in routes
    assert urllib.parse.parse_qs(url.query) == {"bundle": list(made.bundles)}
    others = [port["containerPort"] for port in predictor["containers"][0]["ports"]]
    # 9081 is the agent's.
    assert made.port not in [*others, 9081]


def test_the_server_takes_what_the_agent_sends(server: Any) -> None:
    """Attributes in headers, as KServe's agent sends them (kserve/pkg/logger/worker.go), and the request as it was."""
    pixels = {"name": "input", "datatype": "FP32", "shape": [1, 1, 8, 8], "data": [0.5] * 64}
    headers = {
        "ce-specversion": "1.0",
        "ce-id": "0b5c7d2e",
        "ce-type": "org.kubeflow.serving.inference.request",
        "ce-source": "http://localhost:9081/",
        "ce-time": "2026-01-01T00:00:00Z",
        "ce-inferenceservicename": "classifier",
        "ce-namespace": "vision",
        "ce-component": "predictor",
        "ce-endpoint": "default",
        "ce-metadata": "{}",
        "Content-Type": "application/json",
    }
    answer = server.request(
        "POST", "/v1/events?bundle=digits", headers=headers, content=json.dumps({"inputs": [pixels]})
    )
    assert (answer.status_code, answer.content) == (202, b"")
