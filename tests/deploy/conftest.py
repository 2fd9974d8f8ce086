"""What the tests of manifests share: schemas of Kubernetes' own kinds, and of the custom resources that are used."""

import functools
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest

from service.rest.app import PARTS

CUSTOM_RESOURCES = Path(__file__).parent / "custom_resources"
"""JSON Schemas written after the types of the operators that define them, as far as the manifests here use them."""

Document = dict[str, Any]
OF_PODS = {
    "containers",
    "volumes",
    "securityContext",
    "automountServiceAccountToken",
    "enableServiceLinks",
    "terminationGracePeriodSeconds",
    "nodeSelector",
    "tolerations",
    "imagePullSecrets",
}


def check_document(document: Document) -> None:
    """Hold a document against the schema of its kind; raises where a field is unknown, missing or of another type."""
    _check(json.dumps(document, sort_keys=True))


@functools.cache
def _check(text: str) -> None:
    """The same of its text, since most documents are alike whatever the values."""
    document = json.loads(text)
    custom = CUSTOM_RESOURCES / f"{document['kind']}.json"
    if not custom.exists():
        kubernetes_validate.validate(document, kubernetes_validate.latest_version(), strict=True)
        return
    jsonschema.validate(document, json.loads(custom.read_text()))
    spec = document["spec"].get("predictor", document["spec"])
    if "containers" in spec:
        pod = {name: value for name, value in spec.items() if name in OF_PODS}
        template = {"apiVersion": "v1", "kind": "PodTemplate", "template": {"spec": pod}}
        kubernetes_validate.validate(template, kubernetes_validate.latest_version(), strict=True)


@pytest.fixture(scope="session")
def check() -> Callable[[Document], None]:
    return check_document


@pytest.fixture(scope="session")
def routes() -> set[str]:
    """Paths that the real application answers to."""

    def below(router: Any) -> Iterator[str]:
        for route in router.routes:
            yield route.path

    return {path for part in PARTS for path in below(part.router)}
