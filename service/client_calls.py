"""What the clients of the service say and understand, without sending it; httpx and the standard library alone."""

import base64
import dataclasses
import json
import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Generic, TypedDict, TypeVar
from urllib.parse import quote

import httpx

from service.client_answers import Audit, BundleInfo, Detection, IsthmusError

T = TypeVar("T")

Image = str | Path | bytes
Images = Image | Sequence[Image]
Outcome = httpx.Response | httpx.TransportError

NOT_NOW = (429, 503)


class DetectOptions(TypedDict, total=False):
    """How images are judged.

    Attributes:
        bundle: name of a served one; by default the first.
        false_positive_rate: share of clean images that may be flagged; by default the server's.
        pictures: what each image passes on its way to the prototype is drawn.
        profile: False leaves the profiles out.
        priority: `high`, `normal` or `low`, among the requests of one key.
        timeout_ms: until the answer is no use any more.
    """

    bundle: str
    false_positive_rate: float
    pictures: bool
    profile: bool
    priority: str
    timeout_ms: int


class AuditOptions(TypedDict, total=False):
    """How a folder is judged, as in `DetectOptions`."""

    bundle: str
    false_positive_rate: float


class FeedbackOptions(TypedDict, total=False):
    """What else is known of a wrong verdict.

    Attributes:
        correct_label: name or index of what the image truly shows.
        image: the encoded image, so that it can be exported; it must be the one that was judged.
    """

    correct_label: int | str
    note: str
    image: bytes


@dataclasses.dataclass(frozen=True, kw_only=True)
class Call(Generic[T]):
    """One request, and how its answer is read.

    Attributes:
        is_repeatable: sending it twice does what sending it once does.
    """

    method: str
    path: str
    parse: Callable[[httpx.Response], T]
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    is_repeatable: bool = True

    def result(self, outcome: Outcome) -> T:
        """Read the answer.

        Raises:
            IsthmusError: it is an error, none came, or it is not one of this service.
        """
        if isinstance(outcome, httpx.TransportError):
            raise IsthmusError(f"no answer: {outcome or type(outcome).__name__}", status=None) from outcome
        if not outcome.is_success:
            raise IsthmusError(_message(outcome), status=outcome.status_code)
        try:
            return self.parse(outcome)
        except (ValueError, KeyError, TypeError) as error:
            raise IsthmusError(f"not an answer of this service: {error!r}", status=outcome.status_code) from error


@dataclasses.dataclass(frozen=True, kw_only=True)
class Retries:
    """How often a request is tried, and how long is waited in between.

    Attributes:
        attempts: all tries together; 1 repeats nothing.
        first_pause, longest_pause: seconds; doubles from try to try, and is never longer. Where the server asks for a
            longer one, the outcome stands.
        jitter: gives a number in [0, 1); spreads clients that were refused together.
    """

    attempts: int = 4
    first_pause: float = 0.2
    longest_pause: float = 10.0
    jitter: Callable[[], float] = random.random

    def pause(self, call: Call[Any], attempt: int, outcome: Outcome) -> float | None:
        """Seconds until the next try, after try number `attempt` from 0; None where this outcome stands."""
        if attempt + 1 >= self.attempts or not _may_pass(call, outcome):
            return None
        asked = _retry_after(outcome)
        if asked is not None and asked > self.longest_pause:
            return None
        backoff = self.first_pause * 2**attempt
        # What the server asks is the least; its clients should not all come back at that moment.
        least = backoff / 2 if asked is None else asked
        return float(min(self.longest_pause, least + self.jitter() * backoff))


def detect_call(images: Images, options: DetectOptions) -> Call[Detection]:
    """Judge images in one request.

    Raises:
        OSError: a file cannot be read.
    """
    several = [images] if isinstance(images, str | Path | bytes) else images
    files = [("files", _file(image, index)) for index, image in enumerate(several)]
    return Call(
        method="POST",
        path="/v1/detect",
        options={"files": files, "params": _parameters(options)},
        parse=lambda response: Detection.parse(response.json()),
    )


def bundles_call() -> Call[tuple[BundleInfo, ...]]:
    return Call(
        method="GET",
        path="/v1/bundles",
        parse=lambda response: tuple(BundleInfo.parse(bundle) for bundle in response.json()["bundles"]),
    )


def ready_call() -> Call[bool]:
    return Call(method="GET", path="/v2/health/ready", parse=lambda response: response.json()["ready"] is True)


def start_audit_call(folder: str, options: AuditOptions) -> Call[Audit]:
    return Call(
        method="POST",
        path="/v1/audits",
        options={"json": {"folder": folder, **options}},
        parse=lambda response: Audit.parse(response.json()),
        is_repeatable=False,
    )


def audits_call() -> Call[tuple[Audit, ...]]:
    return Call(
        method="GET",
        path="/v1/audits",
        parse=lambda response: tuple(Audit.parse(audit) for audit in response.json()["audits"]),
    )


def audit_call(audit_id: str) -> Call[Audit]:
    return Call(method="GET", path=_audit(audit_id), parse=lambda response: Audit.parse(response.json()))


def audit_results_call(audit_id: str, *, offset: int, limit: int) -> Call[tuple[dict[str, Any], ...]]:
    return Call(
        method="GET",
        path=f"{_audit(audit_id)}/results",
        options={"params": {"offset": offset, "limit": limit}},
        parse=lambda response: tuple(json.loads(line) for line in response.text.split("\n") if line),
    )


def resume_audit_call(audit_id: str) -> Call[Audit]:
    return Call(
        method="POST",
        path=f"{_audit(audit_id)}/resume",
        parse=lambda response: Audit.parse(response.json()),
        is_repeatable=False,
    )


def delete_audit_call(audit_id: str) -> Call[None]:
    return Call(method="DELETE", path=_audit(audit_id), parse=lambda _: None)


def feedback_call(request_id: str, index: int, correct_decision: str, options: FeedbackOptions) -> Call[None]:
    body: dict[str, Any] = {"request_id": request_id, "index": index, "correct_decision": correct_decision, **options}
    if "image" in options:
        body["image"] = base64.b64encode(options["image"]).decode("ascii")
    return Call(
        method="POST",
        path="/v1/feedback",
        options={"json": body},
        parse=lambda _: None,
        is_repeatable=False,
    )


def _file(image: Image, index: int) -> tuple[str, bytes]:
    if isinstance(image, bytes):
        return f"image-{index}", image
    path = Path(image)
    return path.name, path.read_bytes()


def _parameters(options: Mapping[str, Any]) -> dict[str, str]:
    return {name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in options.items()}


def _audit(audit_id: str) -> str:
    return f"/v1/audits/{quote(audit_id, safe='')}"


def _message(response: httpx.Response) -> str:
    try:
        return str(response.json()["error"])
    except (ValueError, KeyError, TypeError):
        return f"{response.reason_phrase}: {response.text[:200]}"


def _may_pass(call: Call[Any], outcome: Outcome) -> bool:
    if isinstance(outcome, httpx.Response):
        return outcome.status_code in NOT_NOW
    # Before there was a connection nothing can have been done.
    return call.is_repeatable or isinstance(outcome, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout)


def _retry_after(outcome: Outcome) -> float | None:
    """What the server asks, in seconds; a date, which this service never sends, counts as nothing."""
    if isinstance(outcome, httpx.TransportError):
        return None
    try:
        return max(0.0, float(outcome.headers["retry-after"]))
    except (KeyError, ValueError):
        return None
