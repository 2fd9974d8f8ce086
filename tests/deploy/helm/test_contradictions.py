"""Values that cannot all be meant are refused before anything is rendered, and what is nearly so is not."""

from typing import Any

import pytest

ONE = {"replicas": 1, "podDisruptionBudget": {"enabled": False}}
PROXY = [{"name": "proxy", "image": "proxy:1", "ports": [{"name": "proxy", "containerPort": 8443}]}]
LOOPBACK = {
    "keys": {"existingSecret": ""},
    "host": "127.0.0.1",
    "metrics": {"enabled": False},
    "service": {"targetPort": "proxy"},
    "extraContainers": PROXY,
}
INGRESS = {"enabled": True, "host": "a.example.org", "tlsSecret": "tls"}

REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "no keys beyond loopback": ({"keys": {"existingSecret": ""}}, "/keys/existingSecret"),
    "no keys on every address of IPv6": ({"keys": {"existingSecret": ""}, "host": "::"}, "/keys/existingSecret"),
    "keys in two places": ({"keys": {"inline": {"anna": "0123456789abcdef"}}}, "/keys/inline"),
    "a short key": ({"keys": {"existingSecret": "", "inline": {"anna": "short"}}}, "/keys/inline/anna"),
    "loopback that nothing reaches": (LOOPBACK | {"extraContainers": []}, "/extraContainers"),
    "metrics on loopback": (LOOPBACK | {"metrics": {"enabled": True}}, "/metrics/enabled"),
    "a service that leads to loopback": (LOOPBACK | {"service": {"targetPort": "http"}}, "/service/targetPort"),
    "a GPU with the device cpu": ({"gpu": {"enabled": True}, "device": "cpu"}, "/device"),
    "a GPU with an image without CUDA": (
        {"gpu": {"enabled": True}, "image": {"accelerator": "cpu"}},
        "/image/accelerator",
    ),
    "the device cuda without a GPU": ({"device": "cuda"}, "/gpu/enabled"),
    "a GPU among the resources": ({"resources": {"limits": {"nvidia.com/gpu": 1}}}, "invalid propertyName"),
    "more pods at least than at most": (
        {"autoscaling": {"enabled": True, "minReplicas": 5, "maxReplicas": 4}},
        r"minReplicas \(5\) is more than autoscaling.maxReplicas \(4\)",
    ),
    "scaling without metrics": ({"autoscaling": {"enabled": True}, "metrics": {"enabled": False}}, "/metrics/enabled"),
    "scaling by a queue that is never so long": (
        {"autoscaling": {"enabled": True, "queueImages": 64}, "settings": {"queueImages": 64}},
        r"queueImages \(64\) is never reached",
    ),
    "a budget that keeps the only pod": ({"replicas": 1}, "'not' failed"),
    "a budget that keeps the only pod in percent": (
        {"replicas": 1, "podDisruptionBudget": {"minAvailable": "50%"}},
        "'not' failed",
    ),
    "a budget that keeps every pod": (
        {"replicas": 3, "podDisruptionBudget": {"minAvailable": 3}},
        r"minAvailable \(3\) keeps every one of 3 pods",
    ),
    "a budget that keeps every pod in percent": (
        {"replicas": 3, "podDisruptionBudget": {"minAvailable": "67%"}},
        r"minAvailable \(67%\) keeps every one of 3 pods",
    ),
    "a budget that keeps as many as the autoscaler's least": (
        {"autoscaling": {"enabled": True, "minReplicas": 1}},
        r"minAvailable \(1\) keeps every one of 1 pods",
    ),
    "a budget of two kinds": ({"podDisruptionBudget": {"maxUnavailable": 1}}, "'oneOf' failed"),
    "a grace period shorter than draining and ending": (
        {"terminationGracePeriodSeconds": 69},
        r"terminationGracePeriodSeconds \(69\) is too short",
    ),
    "longer draining than the grace period": ({"settings": {"drainSeconds": 30}}, "make 95"),
    "no rolling update at all": ({"rollingUpdate": {"maxSurge": 0, "maxUnavailable": 0}}, "/rollingUpdate"),
    "the state of two pods": ({"persistence": {"enabled": True}}, "/replicas"),
    "the state of as many pods as are asked for": (
        ONE | {"persistence": {"enabled": True}, "autoscaling": {"enabled": True}},
        "/autoscaling/enabled",
    ),
    "a claim for the state that is not used": ({"persistence": {"existingClaim": "a"}}, "/persistence/enabled"),
    "scraping without metrics": (
        {"serviceMonitor": {"enabled": True}, "metrics": {"enabled": False}},
        "/metrics/enabled",
    ),
    "scraping that the network policy forbids": (
        {"serviceMonitor": {"enabled": True}, "networkPolicy": {"metricsFrom": []}},
        "/networkPolicy/metricsFrom",
    ),
    "alerts without metrics": ({"prometheusRule": {"enabled": True}, "metrics": {"enabled": False}}, "/metrics"),
    "alerts that look for another name": (
        {"prometheusRule": {"enabled": True}, "fullnameOverride": "detector"},
        "has isthmus in its name, and this one would be detector",
    ),
    "an ingress for no host": ({"ingress": INGRESS | {"host": ""}}, "/ingress/host"),
    "keys in clear from outside": ({"ingress": INGRESS | {"tlsSecret": ""}}, "/ingress/tlsSecret"),
    "traces that may not leave": (
        {"settings": {"otlpEndpoint": "http://collector:4318"}},
        "/networkPolicy/egress",
    ),
    "bundles of no volume": ({"bundles": {"serve": ["mine=/bundles/mine"]}}, "/bundles/existingClaim"),
    "specifications of no file": (
        {"bundles": {"classifiers": ["mine=/etc/isthmus-specs/net.toml"]}},
        "/bundles/specs",
    ),
    "no bundle": ({"bundles": {"serve": []}}, "/bundles/serve"),
    "a tag and a digest": ({"image": {"tag": "1", "digest": f"sha256:{'0' * 64}"}}, "/image/tag"),
    "metrics on the port of requests": ({"metrics": {"port": 8080}}, "/metrics/port"),
    "two ports of one number": ({"service": {"port": 9090}}, "both 9090"),
    "a setting behind the chart's back": (
        {"extraEnv": [{"name": "ISTHMUS_DEVICE", "value": "cpu"}]},
        "/extraEnv/0/name",
    ),
    "requests longer than the longest": (
        {"settings": {"requestSeconds": 90}},
        r"requestSeconds \(90\) is more than settings.longestRequestSeconds \(60\)",
    ),
    "an unknown device": ({"device": "tpu"}, "/device"),
    "a number that is none": ({"replicas": "two"}, "/replicas"),
    "a misspelt value": ({"replicaCount": 2}, "replicaCount"),
}

TAKEN: dict[str, dict[str, Any]] = {
    "keys of the values": {"keys": {"existingSecret": "", "inline": {"anna": "0123456789abcdef"}}},
    "loopback without keys, behind a proxy": LOOPBACK,
    "a GPU with the device cuda": {"gpu": {"enabled": True}, "device": "cuda"},
    "an image without CUDA on the CPU": {"image": {"accelerator": "cpu"}, "device": "cpu"},
    "as many pods at most as at least": {"autoscaling": {"enabled": True, "minReplicas": 4, "maxReplicas": 4}},
    "a queue just longer than is scaled by": {
        "autoscaling": {"enabled": True, "queueImages": 63},
        "settings": {"queueImages": 64},
    },
    "one pod without a budget": ONE,
    "one pod that may go": {"replicas": 1, "podDisruptionBudget": {"minAvailable": None, "maxUnavailable": 1}},
    "a budget that spares one pod": {"replicas": 3, "podDisruptionBudget": {"minAvailable": 2}},
    "a budget that spares one pod in percent": {"replicas": 3, "podDisruptionBudget": {"minAvailable": "66%"}},
    "a grace period that just suffices": {"terminationGracePeriodSeconds": 70},
    "the state of one pod": ONE | {"persistence": {"enabled": True}},
    "no pod for now": ONE | {"replicas": 0},
    "an ingress behind what ends TLS": {"ingress": INGRESS | {"tlsSecret": "", "tlsEndsBefore": True}},
    "traces without a network policy": {
        "settings": {"otlpEndpoint": "http://collector:4318"},
        "networkPolicy": {"enabled": False},
    },
    "another name without alerts": {"fullnameOverride": "detector"},
    "an update that takes pods away first": {"rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}},
}


@pytest.mark.parametrize("name", REFUSED)
def test_values_that_contradict_each_other_are_refused(render: Any, refused: Any, name: str) -> None:
    values, message = REFUSED[name]
    with pytest.raises(refused, match=message):
        render(values)


@pytest.mark.parametrize("name", TAKEN)
def test_values_that_agree_are_taken(render: Any, name: str) -> None:
    render(TAKEN[name]).one("Deployment")
