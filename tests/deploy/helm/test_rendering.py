"""Whatever the values, the chart makes what Kubernetes and the operators take."""

from collections.abc import Callable
from typing import Any

import jsonschema
import pytest
import yaml


def test_helm_finds_nothing_to_complain_about(helm: Any, chart_values: dict[str, Any]) -> None:
    report = helm.ask(lint=chart_values["values"])
    assert report["errors"] == []
    assert [message["error"] for message in report["messages"]] == ["icon is recommended"]


def test_every_document_is_what_its_kind_takes(release: Any, check: Callable[..., None]) -> None:
    for document in release.documents:
        check(document)


def test_no_two_documents_are_one_thing(release: Any) -> None:
    names = [(document["kind"], document["metadata"]["name"]) for document in release.documents]
    assert len(names) == len(set(names))


def test_everything_on_makes_every_kind(everything: Any) -> None:
    assert {document["kind"] for document in everything.documents} == {
        "ConfigMap",
        "Deployment",
        "HorizontalPodAutoscaler",
        "Ingress",
        "NetworkPolicy",
        "Pod",
        "PodDisruptionBudget",
        "PrometheusRule",
        "Secret",
        "Service",
        "ServiceAccount",
        "ServiceMonitor",
    }


def test_everything_off_leaves_the_server_and_its_address(render: Callable[..., Any], value_sets: dict) -> None:
    release = render(value_sets["everything-off"])
    assert {document["kind"] for document in release.documents} == {"Deployment", "Service", "Pod"}
    assert release.pod["serviceAccountName"] == "default"


def test_a_misspelt_field_of_a_custom_resource_does_not_pass(everything: Any, check: Callable[..., None]) -> None:
    monitor = yaml.safe_load(yaml.safe_dump(everything.one("ServiceMonitor")))
    monitor["spec"]["endpoints"][0]["intervall"] = "15s"
    with pytest.raises(jsonschema.ValidationError):
        check(monitor)


def test_names_stay_names_whatever_the_release_is_called(render: Callable[..., Any], check: Any) -> None:
    release = render({}, name="x" * 53)
    assert all(len(document["metadata"]["name"]) <= 63 for document in release.documents)
    for document in release.documents:
        check(document)


def test_the_notes_say_how_to_ask(render: Callable[..., Any], value_sets: dict, everything: Any) -> None:
    notes = render({}).notes
    assert "service/isthmus 8080:8080" in notes
    assert "Secret isthmus-keys;" in notes
    assert "custom.metrics.k8s.io" in everything.notes
    assert "https://isthmus.example.org/" in everything.notes
    assert "127.0.0.1 alone" in render(value_sets["loopback"]).notes
