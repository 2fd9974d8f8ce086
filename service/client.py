"""A small client of the REST service, synchronous and asynchronous; needs httpx alone.

    with Client("http://127.0.0.1:8080") as client:
        for result in client.detect("photograph.png").results:
            print(result.path, result.decision, result.p_value)

What the server had no place for (429) or could not compute (503) is sent again when it says, and so is a request whose
connection failed, unless that could do something twice. Whatever else goes wrong is an `IsthmusError`.
"""

import asyncio
import time
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack

import httpx

from service import client_calls
from service.client_answers import Audit, BundleInfo, Detection, IsthmusError, PathPoint, Result, Timing
from service.client_calls import AuditOptions, Call, DetectOptions, FeedbackOptions, Images, Outcome, Retries

T = TypeVar("T")

__all__ = [
    "AsyncClient",
    "Audit",
    "BundleInfo",
    "Client",
    "Detection",
    "IsthmusError",
    "PathPoint",
    "Result",
    "Retries",
    "Timing",
]

ONCE = Retries(attempts=1)


class Client:
    """Calls the service and waits. Every method raises `IsthmusError` where the service gives no answer, or an error.

    Args:
        url: where it is, e.g. `http://127.0.0.1:8080`.
        key: a bearer key, where it asks for one.
        timeout: seconds that one try may take.
        retries: how often, and after what pauses, is tried.
        transport: how httpx reaches it; by default over the network.
    """

    def __init__(
        self,
        url: str,
        key: str | None = None,
        *,
        timeout: float = 60.0,
        retries: Retries | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._retries = retries or Retries()
        self._http = httpx.Client(base_url=url, headers=_headers(key), timeout=timeout, transport=transport)

    def detect(self, images: Images, **options: Unpack[DetectOptions]) -> Detection:
        """Judge images in one request: paths, or the bytes of files; one or several.

        Raises:
            OSError: a file cannot be read.
        """
        return self._run(client_calls.detect_call(images, options))

    def bundles(self) -> tuple[BundleInfo, ...]:
        """What is served, the default first."""
        return self._run(client_calls.bundles_call())

    def ready(self) -> bool:
        """Whether it takes requests now; asked once, and false where nobody answers."""
        try:
            return self._run(client_calls.ready_call(), ONCE)
        except IsthmusError:
            return False

    def start_audit(self, folder: str, **options: Unpack[AuditOptions]) -> Audit:
        """Have all images below a folder of the server's judged, in the background."""
        return self._run(client_calls.start_audit_call(folder, options))

    def audits(self) -> tuple[Audit, ...]:
        """All audits of this key."""
        return self._run(client_calls.audits_call())

    def audit(self, audit_id: str) -> Audit:
        """How far an audit has come."""
        return self._run(client_calls.audit_call(audit_id))

    def audit_results(self, audit_id: str, *, offset: int = 0, limit: int = 1000) -> tuple[dict[str, Any], ...]:
        """So many records of an audit, from a position on."""
        return self._run(client_calls.audit_results_call(audit_id, offset=offset, limit=limit))

    def resume_audit(self, audit_id: str) -> Audit:
        """Queue a failed audit again, after what failed was put right."""
        return self._run(client_calls.resume_audit_call(audit_id))

    def delete_audit(self, audit_id: str) -> None:
        """Stop an audit and forget it."""
        self._run(client_calls.delete_audit_call(audit_id))

    def feedback(self, request_id: str, index: int, correct_decision: str, **options: Unpack[FeedbackOptions]) -> None:
        """Say that the verdict on the image at `index` of a request was wrong: it is `clean`, or `adversarial`."""
        self._run(client_calls.feedback_call(request_id, index, correct_decision, options))

    def close(self) -> None:
        """Close its connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _run(self, call: Call[T], retries: Retries | None = None) -> T:
        attempt = 0
        while True:
            outcome = self._outcome(call)
            pause = (retries or self._retries).pause(call, attempt, outcome)
            if pause is None:
                return call.result(outcome)
            time.sleep(pause)
            attempt += 1

    def _outcome(self, call: Call[Any]) -> Outcome:
        try:
            return self._http.request(call.method, call.path, **call.options)
        except httpx.TransportError as error:
            return error


class AsyncClient:
    """The same as `Client`, for asyncio."""

    def __init__(
        self,
        url: str,
        key: str | None = None,
        *,
        timeout: float = 60.0,
        retries: Retries | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._retries = retries or Retries()
        self._http = httpx.AsyncClient(base_url=url, headers=_headers(key), timeout=timeout, transport=transport)

    async def detect(self, images: Images, **options: Unpack[DetectOptions]) -> Detection:
        """See `Client.detect`; files are read in another thread."""
        return await self._run(await asyncio.to_thread(client_calls.detect_call, images, options))

    async def bundles(self) -> tuple[BundleInfo, ...]:
        """See `Client.bundles`."""
        return await self._run(client_calls.bundles_call())

    async def ready(self) -> bool:
        """See `Client.ready`."""
        try:
            return await self._run(client_calls.ready_call(), ONCE)
        except IsthmusError:
            return False

    async def start_audit(self, folder: str, **options: Unpack[AuditOptions]) -> Audit:
        """See `Client.start_audit`."""
        return await self._run(client_calls.start_audit_call(folder, options))

    async def audits(self) -> tuple[Audit, ...]:
        """See `Client.audits`."""
        return await self._run(client_calls.audits_call())

    async def audit(self, audit_id: str) -> Audit:
        """See `Client.audit`."""
        return await self._run(client_calls.audit_call(audit_id))

    async def audit_results(self, audit_id: str, *, offset: int = 0, limit: int = 1000) -> tuple[dict[str, Any], ...]:
        """See `Client.audit_results`."""
        return await self._run(client_calls.audit_results_call(audit_id, offset=offset, limit=limit))

    async def resume_audit(self, audit_id: str) -> Audit:
        """See `Client.resume_audit`."""
        return await self._run(client_calls.resume_audit_call(audit_id))

    async def delete_audit(self, audit_id: str) -> None:
        """See `Client.delete_audit`."""
        await self._run(client_calls.delete_audit_call(audit_id))

    async def feedback(
        self, request_id: str, index: int, correct_decision: str, **options: Unpack[FeedbackOptions]
    ) -> None:
        """See `Client.feedback`."""
        await self._run(client_calls.feedback_call(request_id, index, correct_decision, options))

    async def close(self) -> None:
        """Close its connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _run(self, call: Call[T], retries: Retries | None = None) -> T:
        attempt = 0
        while True:
            outcome = await self._outcome(call)
            pause = (retries or self._retries).pause(call, attempt, outcome)
            if pause is None:
                return call.result(outcome)
            await asyncio.sleep(pause)
            attempt += 1

    async def _outcome(self, call: Call[Any]) -> Outcome:
        try:
            return await self._http.request(call.method, call.path, **call.options)
        except httpx.TransportError as error:
            return error


def _headers(key: str | None) -> dict[str, str]:
    if key is None:
        return {}
    if not (key.isascii() and key.isprintable()):
        raise IsthmusError("the key holds what no header can carry; give it as it stands in the keys file", status=None)
    return {"Authorization": f"Bearer {key}"}
