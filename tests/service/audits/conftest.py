"""A server's parts without a network: an engine that answers at once, and an observability that remembers."""

import dataclasses
import io
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from detector.types import ImageError
from detector.verdict import Decision, Outcome, Verdict
from models.preprocessing import Preprocessing
from service.audits.jobs import AuditJobs
from service.audits.store import Audit, State
from service.engine.work import Answer, Ask, EngineState, Pending
from service.runtime import ServedBundle
from service.settings import ServeSettings

BRIGHT = 200
"""Pixels from here on are flagged."""


def png(value: int, side: int = 8) -> bytes:
    """A grey square of one brightness."""
    buffer = io.BytesIO()
    Image.fromarray(np.full((side, side), value, dtype=np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def verdict_of(value: float, rate: float) -> Verdict:
    flagged = value >= BRIGHT
    return Verdict(
        decision=Decision.ADVERSARIAL if flagged else Decision.CLEAN,
        label=int(value) % 10,
        score=1.0,
        p_value=0.01 if flagged else 0.5,
        false_positive_rate=rate,
        barrier=0.0,
        prototype=0,
        suspected_label=None,
        outcome=Outcome.DECIDED,
        profile=(0.0, 1.0),
    )


class FakeEngine:
    """Answers each ask at once with what its pixels say, unless told otherwise."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.state = EngineState.READY
        self.asks: list[Ask] = []
        self.failures: list[Exception] = []
        self.seconds = seconds
        self.gate = threading.Event()
        self.gate.set()
        self.cancelled = 0
        self.most = 10**9

    def submit(self, ask: Ask) -> Pending[Answer]:
        if self.failures:
            raise self.failures.pop(0)
        self.asks.append(ask)
        pending: Pending[Answer] = Pending(self._cancel)
        if self.gate.is_set() and self.n_images <= self.most:
            time.sleep(self.seconds)
            verdicts = tuple(verdict_of(float(image.float().mean()), ask.false_positive_rate) for image in ask.images)
            pending.future.set_result(Answer(verdicts=verdicts, queue_seconds=0.0, compute_seconds=0.0))
        return pending

    def _cancel(self, pending: Pending[Any]) -> None:
        # Cancelling twice is allowed, and counts once.
        self.cancelled += not pending.future.cancelled() and pending.future.cancel()

    @property
    def n_images(self) -> int:
        return sum(len(ask.images) for ask in self.asks)


@dataclasses.dataclass
class FakeObservability:
    told: list[dict[str, Any]] = dataclasses.field(default_factory=list)

    def judged(self, **said: Any) -> None:
        self.told.append(said)


class FakeDetector:
    images_per_step = 4
    false_positive_rate = 0.05
    classifier = SimpleNamespace(input_shape=(1, 8, 8))

    def supports(self, rate: float) -> None:
        if rate < 0.01:
            raise ImageError("no such rate")

    def check(self, images: Any) -> None:
        if images.min() < 0 or images.max() > 1:
            raise ImageError("pixels outside [0, 1]")


def served_bundle(name: str = "toy", digest: str = "d1") -> ServedBundle:
    return ServedBundle(
        name=name,
        digest=digest,
        detector=FakeDetector(),  # type: ignore[arg-type]
        preprocessing=Preprocessing(height=8, width=8, channels=1),
        labels=tuple("abcdefghij"),
    )


class Server:
    """Audits over a state folder, which may be opened again as after a restart."""

    def __init__(self, state: Path, allowed: Path, **settings: Any) -> None:
        self.engine = FakeEngine(settings.pop("seconds", 0.0))
        self.observability = FakeObservability()
        bundle = settings.pop("served", None) or served_bundle()
        self.settings = ServeSettings(state=state, audit_folders=(allowed,), **settings)
        self.jobs = AuditJobs(
            self.settings,
            {bundle.name: bundle},
            self.engine,  # type: ignore[arg-type]
            self.observability,  # type: ignore[arg-type]
        )

    def start(self) -> "Server":
        self.jobs.start()
        return self

    def folder(self, path: Path, key_id: str = "anonymous") -> Audit:
        return self.jobs.add_folder(str(path), bundle=None, false_positive_rate=None, key_id=key_id)

    def archive(self, data: bytes, key_id: str = "anonymous") -> Audit:
        path = self.jobs.uploads.open(key_id)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
            return self.jobs.add_archive(path, "a.zip", bundle=None, false_positive_rate=None, key_id=key_id)
        finally:
            self.jobs.uploads.close(path)

    def wait(self, audit: Audit, *states: State) -> Audit:
        states = states or (State.DONE, State.FAILED)
        until = time.monotonic() + 60
        while (found := self.jobs.find(audit.id, None)).state not in states:
            assert time.monotonic() < until, found
            time.sleep(0.005)
        return found

    def results(self, audit: Audit) -> list[str]:
        return self.jobs.files.results(audit, offset=0, limit=10**6)


@pytest.fixture
def picture() -> Callable[[int], bytes]:
    return png


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Ten images, of which every fifth is bright, and a text."""
    folder = tmp_path / "images"
    folder.mkdir()
    for index in range(10):
        (folder / f"{index}.png").write_bytes(png(220 if index % 5 == 0 else index))
    (folder / "notes.txt").write_text("no image")
    return folder


@pytest.fixture
def open_server(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Makes servers on the same state folder; closes them at the end."""
    opened: list[Server] = []

    def make(**settings: Any) -> Server:
        server = Server(settings.pop("state", tmp_path / "state"), settings.pop("allowed", tmp_path), **settings)
        opened.append(server)
        return server

    yield make
    for server in opened:
        server.jobs.close()


@pytest.fixture
def other_bundle() -> Callable[..., ServedBundle]:
    return served_bundle
