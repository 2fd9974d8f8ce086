"""The chart, rendered by Helm's own code (the package helm-python-sdk wraps Helm's Go library), with several values."""

import copy
import dataclasses
import importlib.util
import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

CHART = Path(__file__).parents[3] / "deploy" / "helm" / "isthmus"
KEYS = {"keys": {"existingSecret": "isthmus-keys"}}

VALUE_SETS: dict[str, dict[str, Any]] = {
    "default": {},
    "gpu": {"gpu": {"enabled": True, "runtimeClassName": "nvidia"}, "replicas": 3},
    "autoscaling": {"autoscaling": {"enabled": True, "minReplicas": 2, "maxReplicas": 6}},
    "own-bundles": {
        "bundles": {
            "serve": ["mine=/bundles/mine", "cifar10-resnet20"],
            "existingClaim": "bundles",
            "specs": {"net.toml": 'name = "net"\n'},
            "classifiers": ["mine=/etc/isthmus-specs/net.toml"],
        }
    },
    "ingress": {"ingress": {"enabled": True, "className": "nginx", "host": "isthmus.example.org", "tlsSecret": "tls"}},
    "state": {
        "replicas": 1,
        "persistence": {"enabled": True, "storageClass": "fast"},
        "podDisruptionBudget": {"enabled": False},
        "auditFolders": [{"name": "uploads", "existingClaim": "uploads"}],
    },
    "loopback": {
        "keys": {"existingSecret": ""},
        "host": "127.0.0.1",
        "metrics": {"enabled": False},
        "service": {"targetPort": "proxy"},
        "extraContainers": [
            {"name": "proxy", "image": "proxy:1", "ports": [{"name": "proxy", "containerPort": 8443}]},
        ],
    },
    "everything-on": {
        "keys": {"existingSecret": "", "inline": {"anna": "0123456789abcdef", "ben": "f" * 40}},
        "tls": {"existingSecret": "isthmus-tls"},
        "gpu": {"enabled": True},
        "image": {"digest": f"sha256:{'a' * 64}", "pullSecrets": [{"name": "registry"}]},
        "bundles": {
            "serve": ["mine=/bundles/mine"],
            "existingClaim": "bundles",
            "specs": {"net.toml": 'name = "net"\n'},
            "auxiliaryClassifiers": ["mine=/etc/isthmus-specs/net.toml"],
        },
        "settings": {
            "falsePositiveRate": 0.01,
            "bodyBytes": 33554432,
            "driftFalseAlarms": 1000000,
            "allowedHosts": ["isthmus.example.org", "isthmus"],
            "logImages": True,
            "otlpEndpoint": "http://collector:4318",
        },
        "extraEnv": [{"name": "AWS_REGION", "value": "eu-central-1"}],
        "auditFolders": [{"name": "a", "existingClaim": "a"}, {"name": "b", "existingClaim": "b"}],
        "service": {"type": "LoadBalancer", "sessionAffinity": "ClientIP", "annotations": {"a": "b"}},
        "serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
        "prometheusRule": {"enabled": True, "runbooks": "https://wiki.example.org/isthmus"},
        "dashboard": {"enabled": True},
        "autoscaling": {"enabled": True},
        "podDisruptionBudget": {"minAvailable": None, "maxUnavailable": "25%"},
        "networkPolicy": {"egress": [{"to": [{"podSelector": {}}], "ports": [{"port": 4318}]}]},
        "ingress": {"enabled": True, "host": "isthmus.example.org", "tlsEndsBefore": True},
        "serviceAccount": {"annotations": {"a": "b"}},
        "podAnnotations": {"a": "b"},
        "podLabels": {"team": "vision"},
        "nodeSelector": {"pool": "gpu"},
        "tolerations": [{"key": "pool", "operator": "Exists"}],
        "affinity": {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": []}},
        "priorityClassName": "high",
    },
    "everything-off": {
        "metrics": {"enabled": False},
        "podDisruptionBudget": {"enabled": False},
        "networkPolicy": {"enabled": False},
        "serviceAccount": {"create": False},
        "topologySpread": {"enabled": False},
    },
}


@dataclasses.dataclass(frozen=True)
class Release:
    """What Helm would send to a cluster."""

    documents: tuple[dict[str, Any], ...]
    notes: str

    def all(self, kind: str) -> list[dict[str, Any]]:
        return [document for document in self.documents if document["kind"] == kind]

    def one(self, kind: str) -> dict[str, Any]:
        (document,) = self.all(kind)
        return document

    @property
    def pod(self) -> dict[str, Any]:
        return self.one("Deployment")["spec"]["template"]["spec"]

    @property
    def server(self) -> dict[str, Any]:
        return self.pod["containers"][0]

    @property
    def environment(self) -> dict[str, str]:
        return {variable["name"]: variable["value"] for variable in self.server["env"]}


class RefusedError(Exception):
    """Helm's words about values, or those of a template that fails."""


@dataclasses.dataclass(frozen=True)
class Helm:
    """Helm's library, in a process of its own."""

    process: subprocess.Popen[str]

    def ask(self, **ask: Any) -> Any:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps({"chart": str(CHART), **ask}) + "\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        if "refused" in answer:
            raise RefusedError(answer["refused"])
        return answer


@pytest.fixture(scope="session")
def helm() -> Iterator[Helm]:
    if importlib.util.find_spec("helm_python") is None:
        pytest.skip("Helm's library (the package helm-python-sdk) has no wheel for this machine")
    command = [sys.executable, str(Path(__file__).with_name("renderer.py"))]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield Helm(process)
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(60) == 0


@pytest.fixture(scope="session")
def refused() -> type[RefusedError]:
    return RefusedError


@pytest.fixture(scope="session")
def render(helm: Helm) -> Callable[..., Release]:
    """Render the chart; raises RefusedError."""

    def rendered(values: Mapping[str, Any], name: str = "isthmus") -> Release:
        files = helm.ask(values=merged(KEYS, values), name=name)
        texts = [text for file, text in sorted(files.items()) if file.endswith(".yaml")]
        documents = [document for text in texts for document in yaml.load_all(text, yaml.CSafeLoader) if document]
        return Release(tuple(documents), files["isthmus/templates/NOTES.txt"])

    return rendered


def merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Values over others, as Helm lays several files of values over each other."""
    result = copy.deepcopy(dict(below))
    for name, value in above.items():
        inner = result.get(name)
        result[name] = merged(inner, value) if isinstance(inner, dict) and isinstance(value, dict) else value
    return result


@pytest.fixture(scope="session", params=list(VALUE_SETS))
def release(request: pytest.FixtureRequest, render: Callable[..., Release]) -> Release:
    return render(VALUE_SETS[request.param])


@pytest.fixture(scope="session")
def everything(render: Callable[..., Release]) -> Release:
    return render(VALUE_SETS["everything-on"])


@pytest.fixture(scope="session")
def value_sets() -> dict[str, dict[str, Any]]:
    return VALUE_SETS


@pytest.fixture(scope="session")
def chart_values() -> dict[str, Any]:
    """Where the chart is, and the least values that it takes."""
    return {"folder": CHART, "values": KEYS}
