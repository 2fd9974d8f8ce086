"""What the service exposes, asked of the service itself, and the expressions that speak of it."""

import json
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import yaml
from prometheus_client import Metric

from detector.verdict import Decision, Outcome, Verdict
from service.observability.gauges import DeviceGauges
from service.observability.observability import Observability
from service.offline.folder.standing import Standing
from service.offline.progress.audit_metrics import AuditMetrics
from service.offline.progress.meter import ProgressMeter
from service.runtime import ServedBundle
from service.settings import ServeSettings

DEPLOY = Path(__file__).parent.parent.parent.parent / "deploy"
FILES = DEPLOY / "helm" / "isthmus" / "files"

ENDINGS = {"counter": ("_total",), "histogram": ("_bucket", "_count", "_sum"), "info": ("_info",), "gauge": ("",)}

FROM_PROMETHEUS = {"up": frozenset[str](), "ALERTS": frozenset({"alertname", "alertstate", "severity"})}
FROM_TARGETS = frozenset({"namespace", "job", "instance"})

KEYWORDS = frozenset({"and", "or", "unless", "offset", "bool", "group_left", "group_right"})

Names = Mapping[str, frozenset[str]]
"""Labels by the name of a series."""


@pytest.fixture(scope="session")
def promtool() -> Callable[..., str]:
    """Runs promtool, which must find nothing wrong."""
    command = shutil.which("promtool")
    if command is None:
        pytest.skip("promtool is not installed; it comes with the package prometheus")

    def run(*arguments: object) -> str:
        done = subprocess.run([command, *map(str, arguments)], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


@pytest.fixture(scope="session")
def groups() -> list[dict[str, Any]]:
    """The groups of alerts.yaml."""
    return yaml.safe_load((FILES / "alerts.yaml").read_text())["groups"]


@pytest.fixture(scope="session")
def alerts(groups: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Alerts by name."""
    return {rule["alert"]: rule for group in groups for rule in group["rules"] if "alert" in rule}


@pytest.fixture(scope="session")
def dashboard() -> dict[str, Any]:
    return json.loads((FILES / "dashboard.json").read_text())


@pytest.fixture(scope="session")
def panels(dashboard: dict[str, Any]) -> list[dict[str, Any]]:
    """Those that show something."""
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


@pytest.fixture
def exposed(monkeypatch: pytest.MonkeyPatch) -> Names:
    """Names that a server or an audit exposes once everything has happened once, as a device with CUDA would."""
    for name in ("memory_allocated", "memory_reserved"):
        monkeypatch.setattr(torch.cuda, name, lambda _: 0)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: SimpleNamespace(total_memory=0))
    told = _told_of_everything()
    families = [*told._metrics.registry.collect(), *DeviceGauges([torch.device("cuda:0")]).collect()]
    standing = Standing(n_items=2, n_shards=1, is_complete=True, n_done=1)
    audit = AuditMetrics(ProgressMeter(lambda: standing), {"source": "images"})
    return dict(_series([*families, *audit.collect()]))


def _told_of_everything() -> Observability:
    detector = SimpleNamespace(
        bundle=SimpleNamespace(conformal=SimpleNamespace(scores=torch.arange(99, dtype=torch.float64))),
        classifier=SimpleNamespace(device=torch.device("cpu")),
    )
    bundle = ServedBundle(name="toy", digest="d" * 64, detector=detector, preprocessing=None, labels=("cat",))
    observability = Observability(ServeSettings(), {"toy": bundle})
    observability.request_done(route="/v1/detect", code=200, seconds=0.02)
    observability.rejected("queue")
    observability.judged(
        request_id="r",
        key_id="k",
        bundle=bundle,
        verdicts=[_verdict()],
        digests=["a" * 64],
        queue_seconds=0.001,
        compute_seconds=0.03,
        source="request",
    )
    observability.stepped("toy", 3, 0.03)
    return observability


def _verdict() -> Verdict:
    return Verdict(
        decision=Decision.CLEAN,
        label=0,
        score=1.0,
        p_value=0.5,
        false_positive_rate=0.05,
        barrier=0.25,
        prototype=0,
        suspected_label=None,
        outcome=Outcome.DECIDED,
        profile=(0.0,),
    )


def _series(families: list[Metric]) -> Iterator[tuple[str, frozenset[str]]]:
    for family in families:
        labels = frozenset(label for sample in family.samples for label in sample.labels)
        for ending in ENDINGS[family.type]:
            yield family.name + ending, labels if ending == "_bucket" else labels - {"le"}


@pytest.fixture(scope="session")
def names_in() -> Callable[[str], list[str]]:
    """The names of series in an expression: what is left when all that has another place is taken away."""

    def look(expression: str) -> list[str]:
        rest = re.sub(r'"[^"]*"', "", expression)
        rest = re.sub(r"\{[^}]*\}|\[[^\]]*\]|\boffset \w+", " ", rest)
        rest = re.sub(r"\b(?:by|without|on|ignoring)\s*\([^)]*\)", " ", rest)
        rest = re.sub(r"\b[a-z_]+\s*(?=\()", " ", rest)
        return [name for name in re.findall(r"(?<![\w:.])[a-zA-Z_][\w:]*", rest) if name not in KEYWORDS]

    return look


@pytest.fixture
def unknown(
    exposed: Names, groups: list[dict[str, Any]], names_in: Callable[[str], list[str]]
) -> Callable[[str], list[str]]:
    """What an expression speaks of and nobody exposes: names, and labels of a selector."""
    recorded = {rule["record"]: frozenset[str]() for group in groups for rule in group["rules"] if "record" in rule}
    known = {**exposed, **recorded, **FROM_PROMETHEUS}

    def look(expression: str) -> list[str]:
        wrong = [name for name in names_in(expression) if name not in known]
        for name, matchers in re.findall(r"([a-zA-Z_:]+)\{([^}]*)\}", expression):
            labels = set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", re.sub(r'"[^"]*"', '""', matchers)))
            wrong += [f"{name}{{{label}}}" for label in labels - known.get(name, frozenset()) - FROM_TARGETS]
        return wrong

    return look
