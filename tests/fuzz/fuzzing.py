"""Random requests for a whole server: from our OpenAPI document, from the official protocol's, and nearly right ones.

The server is real and listens on a loopback port in a thread of this process, so that a mistake leaves its traceback.
"""

import base64
import collections
import contextlib
import dataclasses
import json
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import schemathesis
import uvicorn
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from official_protocol import official_document
from schemathesis.checks import CHECKS, load_all_checks
from schemathesis.core.failures import FailureGroup
from schemathesis.generation import GenerationMode

from service.rest.app import create_app
from service.rest.guards.connections import ConnectionLimits, guarded_protocol
from service.rest.schemas import EXAMPLE_IMAGE
from service.serving.server import make_runtime
from service.settings import ServeSettings

SCHEMA_CHECKS = ("content_type_conformance", "response_schema_conformance")
STRICT_CHECKS = (*SCHEMA_CHECKS, "status_code_conformance", "negative_data_rejection")
FORM_EXCLUDED = ("negative_data_rejection",)
LATE, OURS = 504, 500
INFER = "/v2/models/digits/infer"
SECONDS_TO_START, SECONDS_TO_ANSWER = 120.0, 30.0


@dataclasses.dataclass
class Tally:
    """What came back, by operation and status; and what should not have."""

    counts: dict[str, collections.Counter[int]] = dataclasses.field(default_factory=dict)
    failures: list[str] = dataclasses.field(default_factory=list)
    on_count: Callable[[], None] = lambda: None

    @property
    def n_cases(self) -> int:
        return sum(sum(counter.values()) for counter in self.counts.values())

    def count(self, operation: str, status: int, *, may_be_late: bool, said: str) -> None:
        """Count a response. A mistake of ours fails, unless the request itself gave no time for an answer."""
        self.counts.setdefault(operation, collections.Counter())[status] += 1
        if status >= OURS and not (status == LATE and may_be_late):
            self.failures.append(f"{operation} answered {status}: {said[:300]}")
        self.on_count()


@contextlib.contextmanager
def served(folder: Path) -> Iterator[str]:
    """A server of the digits with small caps, whose audits may read this folder; gives its URL."""
    (folder / "one.png").write_bytes(base64.b64decode(EXAMPLE_IMAGE))
    options: dict[str, Any] = {"bundles": ("digits",), "device": "cpu", "audit_folders": (folder,)}
    caps: dict[str, Any] = {"body_bytes": 2_000_000, "archive_bytes": 2_000_000, "body_seconds": 5}
    runtime = make_runtime(ServeSettings(state=folder / "state", **options, **caps))
    logging.getLogger("service.audit").setLevel(logging.WARNING)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        protocol = guarded_protocol(ConnectionLimits(connections=256))
        config = uvicorn.Config(create_app(runtime), http=protocol, log_config=None, access_log=False, lifespan="on")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        try:
            url = f"http://127.0.0.1:{listener.getsockname()[1]}"
            wait_until_ready(url)
            yield url
        finally:
            server.should_exit = True
            thread.join()


def wait_until_ready(url: str) -> None:
    end = time.monotonic() + SECONDS_TO_START
    while time.monotonic() < end:
        with contextlib.suppress(httpx.TransportError):
            if httpx.get(f"{url}/v2/health/ready", timeout=SECONDS_TO_ANSWER).status_code == 200:
                return
        time.sleep(0.02)
    raise AssertionError("the server did not become ready")


def our_operations(url: str, folder: Path) -> list[Any]:
    """Every operation of our OpenAPI document, with names that the server knows beside one that it does not."""
    document = httpx.get(f"{url}/openapi.json", timeout=SECONDS_TO_ANSWER).json()
    return _operations(_with_names(document, known_names(url, folder)))


def known_names(url: str, folder: Path) -> dict[str, list[str]]:
    """Names by the parameters and fields that take them, after a verdict was made and audits were begun."""
    with httpx.Client(base_url=url, timeout=SECONDS_TO_ANSWER) as client:
        verdict = client.post("/v1/detect", json={"images": [{"data": EXAMPLE_IMAGE}]}).json()
        audits = [client.post("/v1/audits", json={"folder": str(folder)}).json() for _ in range(8)]
    known = {"model_name": ["digits"], "model_version": ["1"], "bundle": ["digits"], "name": ["digits"]}
    known |= {"request_id": [verdict["request_id"]], "id": [audit["id"] for audit in audits], "folder": [str(folder)]}
    return {name: [*values, "unknown"] for name, values in known.items()}


def _with_names(node: Any, known: dict[str, list[str]], *, in_body: bool = False) -> Any:
    """A document in which parameters and members of bodies that are sent take the names that are known."""
    if isinstance(node, list):
        return [_with_names(part, known, in_body=in_body) for part in node]
    if not isinstance(node, dict):
        return node
    node = {key: _with_names(value, known, in_body=in_body or key == "requestBody") for key, value in node.items()}
    if node.get("in") in {"path", "query"} and node.get("name") in known:
        node["schema"] = _one_of(known[node["name"]])
    if "prefixItems" in node:
        # Schemathesis makes of them, for older validators, what it then refuses itself.
        [node["items"]] = {json.dumps(item): item for item in node.pop("prefixItems")}.values()
    if in_body and isinstance(node.get("properties"), dict):
        taken = {"bundle", "request_id", "folder"} & node["properties"].keys()
        node["properties"] |= {name: _one_of(known[name]) for name in taken}
    return node


def _one_of(names: list[str]) -> dict[str, Any]:
    return {"type": "string", "enum": names}


def official_operations() -> list[Any]:
    """Every operation of the Open Inference Protocol."""
    return _operations(official_document())


def _operations(document: dict[str, Any]) -> list[Any]:
    schema = schemathesis.openapi.from_dict(document)
    operations = [result.ok() for result in schema.get_all_operations()]
    # What is deleted is not found by those that come later.
    return sorted(operations, key=lambda operation: operation.method == "delete")


def fuzz_operation(
    operation: Any, url: str, n_cases: int, tally: Tally, *, checks: tuple[str, ...], number: int
) -> None:
    """Send requests that keep to a document, and as many that do not, and hold the answers against it."""
    load_all_checks()
    name = operation.label if checks == STRICT_CHECKS else f"{operation.label} (official)"
    for mode, share in ((GenerationMode.POSITIVE, n_cases - n_cases // 2), (GenerationMode.NEGATIVE, n_cases // 2)):

        @_run(share, number)
        @given(case=operation.as_strategy(generation_mode=mode))
        def send(case: Any) -> None:
            response = case.call(base_url=url)
            may_be_late = b"timeout" in (response.request.body or b"") or "timeout" in str(response.request.url)
            tally.count(name, response.status_code, may_be_late=may_be_late, said=repr(response.content[:300]))
            try:
                # A form is text and files: what had another type before it was written has none any more as it is sent.
                excluded = FORM_EXCLUDED if case.media_type == "multipart/form-data" else ()
                case.validate_response(response, checks=CHECKS.get_by_names([n for n in checks if n not in excluded]))
            except FailureGroup as group:
                titles = ", ".join(str(failure).partition("\n")[0] for failure in group.exceptions)
                said = f"{response.status_code} {response.content[:200]!r}"
                tally.failures.append(f"{name}: {titles}: {said} on {case.as_curl_command()[:1500]}")

        # Some operations take nothing that could be wrong.
        with contextlib.suppress(Unsatisfiable):
            send()


def fuzz_nearly_right(url: str, n_cases: int, tally: Tally, *, number: int) -> None:
    """Send inference requests, raw and in JSON, in which hardly more than one thing is wrong."""
    with httpx.Client(base_url=url, timeout=SECONDS_TO_ANSWER) as client:

        @_run(n_cases, number)
        @given(nearly_right())
        def send(asked: tuple[dict[str, Any], bytes, dict[str, str]]) -> None:
            text, behind, headers = asked
            body = json.dumps(text).encode()
            headers = {"Inference-Header-Content-Length": str(len(body)), **headers}
            answer = client.post(INFER, content=body + behind, headers=headers)
            tally.count(f"POST {INFER} (nearly right)", answer.status_code, may_be_late=True, said=answer.text)
            if answer.status_code != 200 and list(answer.json()) != ["error"]:
                tally.failures.append(f"{answer.status_code} without an error: {answer.text[:300]}")

        send()


def _run(n_cases: int, number: int) -> Callable[[Any], Any]:
    kept = settings(
        max_examples=max(1, n_cases),
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
        derandomize=False,
    )
    return lambda test: seed(number)(kept(test))


NUMBERS = st.sampled_from([-1, 0, 5e-324, 1, 2, 8, 64, 65, 2**31, 2**63, 2**64, 10**30, 0.5, True, "1", None])


@st.composite
def nearly_right(draw: st.DrawFn) -> tuple[dict[str, Any], bytes, dict[str, str]]:
    """The JSON, the bytes behind it, and headers."""
    files, behind = draw(st.integers(1, 3)), b""
    tensor: dict[str, Any] = draw(
        st.sampled_from(
            [
                {"name": "image", "shape": [files], "datatype": "BYTES", "data": [EXAMPLE_IMAGE] * files},
                {"name": "pixels", "shape": [1, 1, 8, 8], "datatype": "UINT8", "data": list(range(64))},
                {"name": "pixels", "shape": [1, 1, 8, 8], "datatype": "FP32", "data": [0.5] * 64},
            ]
        )
    )
    if tensor["name"] == "pixels" and draw(st.booleans()):
        behind = draw(st.binary(min_size=64, max_size=64)) * (1 if tensor["datatype"] == "UINT8" else 4)
        tensor = {key: value for key, value in tensor.items() if key != "data"}
        tensor["parameters"] = {"binary_data_size": len(behind)}
    text: dict[str, Any] = {"id": draw(st.text(max_size=5)), "inputs": [tensor]}
    text["parameters"] = draw(
        st.dictionaries(
            st.sampled_from(["timeout", "priority", "false_positive_rate", "binary_data_output", "sequence_id"]),
            NUMBERS,
            max_size=1,
        )
    )
    headers: dict[str, str] = {}
    wrong = draw(st.sampled_from(["nothing", "shape", "datatype", "data", "size", "outputs", "bytes", "length"]))
    if wrong == "shape":
        tensor["shape"] = draw(st.lists(NUMBERS, max_size=5))
    elif wrong == "datatype":
        tensor["datatype"] = draw(st.sampled_from(["BOOL", "FP16", "FP32", "UINT8", "INT64", "BYTES", "BF16", ""]))
    elif wrong == "data":
        tensor["data"] = draw(st.lists(NUMBERS | st.text(max_size=9), max_size=70))
    elif wrong == "size":
        tensor["parameters"] = {"binary_data_size": draw(NUMBERS)}
    elif wrong == "outputs":
        names = st.sampled_from(["label", "p_value", "verdict", "labels"])
        text["outputs"] = [{"name": name} for name in draw(st.lists(names, max_size=3))]
    elif wrong == "bytes":
        behind = draw(st.binary(max_size=80))
    elif wrong == "length":
        headers = {"Inference-Header-Content-Length": str(draw(NUMBERS))}
    return text, behind, headers
