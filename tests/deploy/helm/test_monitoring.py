"""What the chart gives to Prometheus, Grafana and the autoscaler agrees with the files and the metrics there are."""

import json
from typing import Any

import pytest
import yaml
from prometheus_client import generate_latest
from prometheus_client.registry import CollectorRegistry

from service.observability.gauges import EngineGauges


@pytest.fixture(scope="session")
def metrics() -> set[str]:
    """Names of what the engine shows of itself."""
    registry = CollectorRegistry()
    registry.register(EngineGauges())
    lines = generate_latest(registry).decode().splitlines()
    return {line.split()[0] for line in lines if not line.startswith("#")}


def test_alerts_are_those_of_the_file(everything: Any, chart_values: dict[str, Any]) -> None:
    text = (chart_values["folder"] / "files" / "alerts.yaml").read_text()
    written = yaml.safe_load(text.replace("deploy/OPERATIONS.md", "https://wiki.example.org/isthmus"))
    assert everything.one("PrometheusRule")["spec"] == written
    assert "https://wiki.example.org/isthmus#" in str(everything.one("PrometheusRule"))


def test_the_dashboard_is_that_of_the_file(everything: Any, chart_values: dict[str, Any]) -> None:
    (dashboard,) = [document for document in everything.all("ConfigMap") if "isthmus.json" in document["data"]]
    written = json.loads((chart_values["folder"] / "files" / "dashboard.json").read_text())
    assert json.loads(dashboard["data"]["isthmus.json"]) == written
    assert dashboard["metadata"]["labels"]["grafana_dashboard"] == "1"


def test_the_autoscaler_asks_for_a_metric_that_there_is(everything: Any, metrics: set[str]) -> None:
    (metric,) = everything.one("HorizontalPodAutoscaler")["spec"]["metrics"]
    assert metric["pods"]["metric"]["name"] in metrics
    assert metric["pods"]["target"] == {"type": "AverageValue", "averageValue": "32"}


def test_the_adapter_makes_the_metric_that_the_autoscaler_asks_for(everything: Any, chart_values: Any) -> None:
    adapter = yaml.safe_load((chart_values["folder"].parent / "prometheus-adapter-values.yaml").read_text())
    (rule,) = adapter["rules"]["custom"]
    (metric,) = everything.one("HorizontalPodAutoscaler")["spec"]["metrics"]
    name = metric["pods"]["metric"]["name"]
    assert rule["name"] == {"matches": f"^{name}$", "as": name}
    assert rule["seriesQuery"].startswith(f"{name}{{")
    assert set(rule["resources"]["overrides"]) == {"namespace", "pod"}
    for label in rule["resources"]["overrides"]:
        assert f'{label}!=""' in rule["seriesQuery"]
    for placeholder in ("<<.Series>>", "<<.LabelMatchers>>", "<<.GroupBy>>"):
        assert placeholder in rule["metricsQuery"]
