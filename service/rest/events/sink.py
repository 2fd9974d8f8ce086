"""Images that nobody waits for, from a bounded queue to verdicts in the log and the metrics."""

import collections
import dataclasses
import logging
import threading
import time
from collections.abc import Sequence

from torch import Tensor

from detector.types import DetectorError
from service.audits.background import BackgroundJudge, Chunk, EngineStoppedError
from service.engine.work import Answer, Pending
from service.errors import InputError, OverloadedError, RequestError
from service.images import DecodingLimits, decode
from service.runtime import Runtime, ServedBundle

MOST_EVENTS, MOST_BYTES = 256, 128 * 2**20
"""That wait; bytes are of their bodies."""

UNDER_WAY = 8
"""Events whose images the engine has at the same time, so that it can make full steps of them."""

RETRY_AFTER = 1.0

Begun = tuple[Chunk, Pending[Answer] | None]

logger = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class QueuedEvent:
    """Images of one event.

    Attributes:
        images: encoded files, or pixels of shape (image, channel, height, width).
        n_bytes: what it takes up, about.
    """

    bundle: ServedBundle
    request_id: str
    key_id: str
    images: Sequence[bytes] | Tensor
    n_bytes: int


class _StoppedError(Exception):
    """The time for what was still to do is up."""


class EventSink:
    """Judges events one after the other in a thread of its own; `offer` never waits. Thread-safe."""

    def __init__(self, runtime: Runtime) -> None:
        self._judge: BackgroundJudge = runtime.audits.judge
        self._count = runtime.observability.event
        self._n_left = 0
        settings = runtime.settings
        self._limits = DecodingLimits(n_bytes=settings.image_bytes, n_pixels=settings.image_pixels)
        self._waiting: collections.deque[QueuedEvent] = collections.deque()
        self._n_bytes = 0
        self._changed = threading.Condition()
        self._is_closing = False
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, name="events")

    def start(self) -> None:
        """Begin to work off what comes."""
        self._thread.start()

    def offer(self, event: QueuedEvent) -> None:
        """Queue an event.

        Raises:
            OverloadedError: too many wait already.
        """
        with self._changed:
            is_full = len(self._waiting) >= MOST_EVENTS or self._n_bytes + event.n_bytes > MOST_BYTES
            # One that is larger than all may be is taken where nothing else waits.
            if self._is_closing or (is_full and self._waiting):
                raise OverloadedError(
                    "too many events wait already; send this one again later", retry_after=RETRY_AFTER, reason="events"
                )
            self._waiting.append(event)
            self._n_bytes += event.n_bytes
            self._n_left += 1
            self._changed.notify()

    def close(self, seconds: float) -> None:
        """Take no more, and judge what waits as far as the time allows."""
        until = time.monotonic() + seconds
        with self._changed:
            self._is_closing = True
            self._changed.notify()
        if self._thread.ident is not None:
            self._thread.join(max(0.0, until - time.monotonic()))
            self._stop.set()
            self._thread.join()

    def _work(self) -> None:
        begun: collections.deque[Begun] = collections.deque()
        try:
            while True:
                event = self._next(may_wait=not begun)
                if event is not None:
                    self._begin(event, begun)
                elif not begun:
                    return
                if begun and (event is None or len(begun) == UNDER_WAY):
                    self._finish(*begun[0])
                    begun.popleft()
        except (_StoppedError, EngineStoppedError):
            with self._changed:
                self._is_closing = True
            logger.warning("%d events are not judged: the server stops", self._n_left)
            while self._n_left:
                self._end("failed")
        finally:
            for _, pending in begun:
                if pending is not None:
                    pending.cancel()

    def _next(self, *, may_wait: bool) -> QueuedEvent | None:
        with self._changed:
            while may_wait and not self._waiting and not self._is_closing:
                self._changed.wait()
            if not self._waiting:
                return None
            event = self._waiting.popleft()
            self._n_bytes -= event.n_bytes
            return event

    def _begin(self, event: QueuedEvent, begun: collections.deque[Begun]) -> None:
        self._check(0.0)
        images = list(event.images) if isinstance(event.images, Tensor) else self._decoded(event)
        chunk = Chunk(
            bundle=event.bundle,
            request_id=event.request_id,
            key_id=event.key_id,
            source="event",
            false_positive_rate=event.bundle.detector.false_positive_rate,
            positions=range(len(images)),
            names=[""] * len(images),
            images=images,
        )
        try:
            begun.append((chunk, self._judge.begin(chunk)))
        except RequestError:
            # It is asked again when its turn has come.
            begun.append((chunk, None))
        except DetectorError as error:
            self._end("failed")
            logger.warning("the event %s is not judged: %s", event.request_id, error)
        except Exception:
            # Those behind it are judged all the same.
            self._end("failed")
            logger.exception("the event %s is not judged through a mistake of ours", event.request_id)

    def _decoded(self, event: QueuedEvent) -> list[Tensor | str]:
        images: list[Tensor | str] = []
        for data in event.images:
            self._check(0.0)
            try:
                images.append(decode(bytes(data), event.bundle.preprocessing, self._limits))
            except InputError as error:
                images.append(str(error))
                logger.info("image %d of the event %s: %s", len(images) - 1, event.request_id, error)
        return images

    def _finish(self, chunk: Chunk, pending: Pending[Answer] | None) -> None:
        outcome = "failed"
        try:
            self._judge.finish(chunk, pending, self._check)
            outcome = "judged"
        except RequestError as error:
            logger.warning("the event %s is not judged: %s", chunk.request_id, error)
        except (_StoppedError, EngineStoppedError):
            raise
        except Exception:
            logger.exception("the event %s is not judged through a mistake of ours", chunk.request_id)
        self._end(outcome)

    def _end(self, outcome: str) -> None:
        with self._changed:
            self._n_left -= 1
        self._count(outcome)

    def _check(self, seconds: float) -> None:
        if self._stop.wait(seconds):
            raise _StoppedError
