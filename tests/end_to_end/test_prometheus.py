"""Prometheus itself reads running servers with the configuration, the alerts and the queries that are shipped."""

import concurrent.futures
import contextlib
import io
import json
import math
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import yaml
from PIL import Image

from models.digits import load_digits_images

pytestmark = pytest.mark.slow

DEPLOY = Path(__file__).parent.parent.parent / "deploy"
PROMETHEUS = shutil.which("prometheus")
KEY = "anna-0123456789abcdef"
HEADERS = {"Authorization": f"Bearer {KEY}"}

VARIABLES = {"$job": ".+", "$instance": ".+", "$__rate_interval": "30s", "$__range": "1m"}

NEEDS_CUDA = "Device memory"


@pytest.mark.skipif(PROMETHEUS is None, reason="Prometheus is not installed; it comes with the package prometheus")
def test_every_panel_shows_data_and_what_was_provoked_raises_its_alert(running_server, tmp_path):
    # A step of it is never quick enough: it hangs all the time.
    servers = [
        running_server("--metrics-port", "0", "--queue-images", "8", *more, wait=False, ISTHMUS_KEYS=f"anna:{KEY}")
        for more in ((), ("--step-seconds", "0.0001"))
    ]
    for server in servers:
        until(lambda url=server.url: httpx.get(f"{url}/v2/health/ready", timeout=30).status_code == 200)
    with prometheus(tmp_path, [metrics_port(server) for server in servers]) as ask, busy(servers):
        rules = until(lambda: all_evaluated(ask))
        assert {(rule["health"], rule.get("lastError", "")) for rule in rules.values()} == {("ok", "")}
        assert set(rules) == {rule.get("alert") or rule["record"] for rule in shipped_rules()}
        assert eventually(lambda: first_empty(ask)) == ""
        for name in ("IsthmusDrift", "IsthmusEngineFailing", "IsthmusErrors"):
            alert = until(lambda name=name: firing(ask, name))
            assert "<" not in alert["annotations"]["summary"]
            assert alert["labels"]["job"] == "isthmus"
        assert not firing(ask, "IsthmusDown")
        servers[0].stop()
        down = until(lambda: firing(ask, "IsthmusDown"))
        assert down["labels"]["severity"] == "critical"


def shipped_rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load((DEPLOY / "helm" / "isthmus" / "files" / "alerts.yaml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def metrics_port(server: Any) -> int:
    return next(event["port"] for event in server.events if event["event"] == "metrics")


@contextlib.contextmanager
def prometheus(folder: Path, ports: list[int]) -> Iterator[Callable[..., Any]]:
    """Prometheus as it is shipped, but for its targets and its patience; gives what asks its API."""
    configuration = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text())
    configuration["global"] = dict.fromkeys(("scrape_interval", "evaluation_interval"), "1s")
    (job,) = configuration["scrape_configs"]
    del job["dns_sd_configs"]
    job["static_configs"] = [{"targets": [f"127.0.0.1:{port}" for port in ports]}]
    alerts = (DEPLOY / "helm" / "isthmus" / "files" / "alerts.yaml").read_text()
    (folder / "rules").mkdir()
    (folder / "rules" / "alerts.yaml").write_text(re.sub(r"for: \d+m", "for: 1s", alerts))
    (folder / "prometheus.yml").write_text(yaml.safe_dump(configuration))
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    flags = [f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data"]
    with (folder / "prometheus.log").open("wb") as log:
        process = subprocess.Popen([PROMETHEUS, *flags, f"--web.listen-address={address}"], stdout=log, stderr=log)

    def ask(path: str, **parameters: str) -> Any:
        assert process.poll() is None, (folder / "prometheus.log").read_text()
        answer = httpx.get(f"http://{address}/api/v1/{path}", params=parameters, timeout=30)
        assert answer.status_code == 200, (parameters, answer.text)
        return answer.json()["data"]

    try:
        until(lambda: is_ready(f"http://{address}/-/ready"))
        yield ask
    finally:
        process.terminate()
        process.wait(30)


def is_ready(url: str) -> bool:
    with contextlib.suppress(httpx.TransportError):
        return httpx.get(url, timeout=30).status_code == 200
    return False


def until(condition: Callable[[], Any], seconds: float = 180) -> Any:
    """What the condition gives once it is something."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.2)
    return found


def eventually(complaint: Callable[[], str], seconds: float = 180) -> str:
    """The last complaint, or none as soon as there is none."""
    end = time.monotonic() + seconds
    while (found := complaint()) and time.monotonic() < end:
        time.sleep(0.2)
    return found


@contextlib.contextmanager
def busy(servers: list[Any]) -> Iterator[None]:
    """Requests go on meanwhile: digits, noise, some with a wrong key, some without time or place."""
    rng = np.random.default_rng(0)
    _, held_out = load_digits_images()
    digits = [png(image[0].numpy()) for image in held_out.images[:8]]
    is_over = False

    def send(server: Any) -> None:
        with httpx.Client(base_url=server.url, headers=HEADERS, timeout=30) as client:
            while not is_over:
                noise = [png(rng.integers(0, 256, (8, 8), dtype=np.uint8)) for _ in range(8)]
                with contextlib.suppress(httpx.TransportError):
                    client.post("/v1/detect", files=[("files", image) for image in digits])
                    client.post("/v1/detect", files=[("files", image) for image in noise])
                    client.post("/v1/detect?timeout_ms=1", files=[("files", image) for image in noise])
                    client.post("/v1/detect", headers={"Authorization": "Bearer somebody-elses-key"}, content=b"")
                    client.post("/v1/events", headers=event_headers(), content=b"{}")
                time.sleep(0.1)

    with concurrent.futures.ThreadPoolExecutor(2 * len(servers)) as pool:
        senders = [pool.submit(send, server) for server in servers for _ in range(2)]
        try:
            yield
        finally:
            is_over = True
    for sender in senders:
        sender.result()


def png(pixels: np.ndarray[Any, Any]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def event_headers() -> dict[str, str]:
    return {"ce-id": "1", "ce-source": "/", "ce-type": "org.example.other", "ce-specversion": "1.0"}


def all_evaluated(ask: Callable[..., Any]) -> dict[str, dict[str, Any]] | None:
    rules = {rule["name"]: rule for group in ask("rules")["groups"] for rule in group["rules"]}
    return None if any(rule["health"] == "unknown" for rule in rules.values()) else rules


def first_empty(ask: Callable[..., Any]) -> str:
    """The first expression of a panel that gives no number, if there is one; those about CUDA never do here."""
    dashboard = json.loads((DEPLOY / "helm" / "isthmus" / "files" / "dashboard.json").read_text())
    shown = [panel for panel in dashboard["panels"] if panel["type"] != "row" and panel["title"] != NEEDS_CUDA]
    expressions = [target["expr"] for panel in shown for target in panel["targets"]]
    for expression in expressions:
        query = expression
        for name, value in VARIABLES.items():
            query = re.sub(re.escape(name) + r"\b", value, query)
        values = [float(sample["value"][1]) for sample in ask("query", query=query)["result"]]
        if not any(map(math.isfinite, values)):
            return f"no number from {query}"
    return ""


def firing(ask: Callable[..., Any], name: str) -> dict[str, Any] | None:
    alerts = [alert for alert in ask("alerts")["alerts"] if alert["labels"]["alertname"] == name]
    return next((alert for alert in alerts if alert["state"] == "firing"), None)
