"""A server of the native API whose engine answers what it is told, with the shipped `digits` bundle."""

import asyncio
import concurrent.futures
import dataclasses
import io
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from fastapi import FastAPI
from PIL import Image

from detector.verdict import Decision, Outcome, Verdict
from service.engine.permits import Permit, Permits
from service.engine.work import Answer, Ask, Pending
from service.rest.docs import routes as docs
from service.rest.failures import HANDLERS, Failures
from service.rest.native import routes as native
from service.runtime import Runtime, ServedBundle
from service.settings import ServeSettings

CLEAN = Verdict(
    decision=Decision.CLEAN,
    label=3,
    score=-2.0,
    p_value=0.5,
    false_positive_rate=0.05,
    barrier=0.25,
    prototype=0,
    suspected_label=None,
    outcome=Outcome.DECIDED,
    profile=(0.5, 0.75, 0.0),
)


class CannedEngine:
    """Answers every image with `verdict`; while `holds`, leaves what is asked pending."""

    def __init__(self, bundles: dict[str, ServedBundle], capacity: int = 64) -> None:
        self.permits = Permits(capacity)
        self.taken: list[Permit] = []
        self.n_released = 0
        self.asks: list[Ask] = []
        self.held: list[Pending[Answer]] = []
        self.cancelled: list[Pending[Any]] = []
        self.n_calls = 0
        self.verdict = CLEAN
        self.holds = False
        self.error: Exception | None = None
        self._bundles = bundles

    def permit(self, n_images: int = 1, key_id: str | None = None) -> Permit:
        permit = self.permits.take(n_images, key_id)
        vacate = permit.release

        def release() -> None:
            self.n_released += 1
            vacate()

        permit.release = release
        self.taken.append(permit)
        return permit

    def submit(self, ask: Ask) -> Pending[Answer]:
        self.asks.append(ask)
        pending: Pending[Answer] = Pending(self._cancel)
        if self.error is not None:
            pending.future.set_exception(self.error)
        elif self.holds:
            self.held.append(pending)
        else:
            rate = ask.false_positive_rate
            verdicts = (dataclasses.replace(self.verdict, false_positive_rate=rate),) * len(ask.images)
            pending.future.set_result(Answer(verdicts=verdicts, queue_seconds=0.25, compute_seconds=0.5))
        return pending

    def call(self, bundle: str, work: Any, *, deadline: float, key_id: str) -> Pending[Any]:  # noqa: ARG002
        self.n_calls += 1
        pending: Pending[Any] = Pending(self._cancel)
        pending.future.set_result(work(self._bundles[bundle].detector))
        return pending

    def _cancel(self, pending: Pending[Any]) -> None:
        if not pending.future.done():
            self.cancelled.append(pending)
        pending.future.cancel()


class Hearing:
    """An observability that keeps what it is told."""

    def __init__(self) -> None:
        self.heard: list[dict[str, Any]] = []

    def judged(self, **told: Any) -> None:
        self.heard.append(told)


@pytest.fixture
def decoders() -> Iterator[concurrent.futures.ThreadPoolExecutor]:
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        yield pool


@pytest.fixture
def make_runtime(digits: ServedBundle, decoders: concurrent.futures.ThreadPoolExecutor) -> Callable[..., Runtime]:
    def make(**settings: Any) -> Runtime:
        bundles = {"digits": digits, "second": dataclasses.replace(digits, name="second")}
        parts: Any = {"engine": CannedEngine(bundles), "observability": Hearing(), "audits": None}
        return Runtime(settings=ServeSettings(**settings), bundles=bundles, decoders=decoders, **parts)

    return make


@pytest.fixture
def runtime(make_runtime: Callable[..., Runtime]) -> Runtime:
    return make_runtime()


@pytest.fixture
def make_app() -> Callable[[Runtime], FastAPI]:
    def make(runtime: Runtime) -> FastAPI:
        app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, exception_handlers=HANDLERS)
        app.state.runtime = runtime
        app.include_router(native.router)
        app.include_router(docs.router)
        app.add_middleware(Failures)
        return app

    return make


@pytest.fixture
def make_client(make_app: Callable[[Runtime], FastAPI], in_process: Any) -> Callable[[Runtime], Any]:
    return lambda runtime: in_process(make_app(runtime))


@pytest.fixture
def client(runtime: Runtime, make_client: Callable[[Runtime], Any]) -> Any:
    return make_client(runtime)


@pytest.fixture
def png() -> bytes:
    """Grey, of the classifier's own 8 × 8 pixels."""
    return make_png(0)


@pytest.fixture
def digit_pngs() -> Callable[[int], list[bytes]]:
    return lambda n_images: [make_png(seed) for seed in range(n_images)]


def make_png(seed: int) -> bytes:
    buffer = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (8, 8), dtype=np.uint8)
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def pixels() -> torch.Tensor:
    """Three grey images as uint8."""
    return torch.randint(0, 256, (3, 1, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def run() -> Callable[[Awaitable[Any]], Any]:
    def run(work: Awaitable[Any]) -> Any:
        async def whole() -> Any:
            async with asyncio.timeout(60):
                return await work

        return asyncio.run(whole())

    return run


@pytest.fixture
def released_once(runtime: Runtime) -> Iterator[None]:
    """Fails the test after which a place is still taken, or was given back twice."""
    yield
    assert runtime.engine.n_released == len(runtime.engine.taken)
    assert runtime.engine.permits.n_taken == 0
