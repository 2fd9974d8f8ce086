"""Judging that nobody waits for: in the engine's background lane, without a permit, with all the time there is."""

import concurrent.futures
import dataclasses
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from service.engine.work import Answer, Ask, EngineState, Lane, Pending
from service.errors import EngineError, RequestError
from service.images import pixel_digest
from service.records import Record, error_record, verdict_record
from service.runtime import ServedBundle

if TYPE_CHECKING:
    from service.engine.engine import Engine
    from service.observability.observability import Observability

DAY = 86400.0
"""In seconds; what one chunk has."""

POLL_SECONDS = 0.2
ATTEMPTS = 5
FIRST_PAUSE_SECONDS = 1.0


NOTHING = Answer(verdicts=(), queue_seconds=0.0, compute_seconds=0.0)


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Chunk:
    """Some images to be judged together.

    Attributes:
        request_id: names it in logs.
        source: what the images came by; only requests of clients count towards drift.
        positions: of each image among those of the same request id.
        names: what the records call each image.
        images: shape (channel, height, width), uint8 or float32; or why there is none.
    """

    bundle: ServedBundle
    request_id: str
    key_id: str
    source: str
    false_positive_rate: float
    positions: Sequence[int]
    names: Sequence[str]
    images: Sequence[Tensor | str]

    @property
    def decoded(self) -> list[Tensor]:
        """The images there are."""
        return [image for image in self.images if isinstance(image, Tensor)]


class EngineStoppedError(Exception):
    """The engine takes nothing any more; what is left is for the next server."""


class BackgroundJudge:
    """Hands chunks to the engine, and tells the observability what became of them. Thread-safe."""

    def __init__(self, engine: "Engine", observability: "Observability") -> None:
        self._engine = engine
        self._observability = observability

    def begin(self, chunk: Chunk) -> Pending[Answer] | None:
        """Give a chunk to the engine; None where it has no image.

        Raises:
            EngineError: the engine does not take it.
        """
        images = chunk.decoded
        if not images:
            return None
        return self._engine.submit(
            Ask(
                bundle=chunk.bundle.name,
                images=torch.stack(images),
                request_id=chunk.request_id,
                deadline=time.monotonic() + DAY,
                false_positive_rate=chunk.false_positive_rate,
                key_id=chunk.key_id,
                lane=Lane.BACKGROUND,
            )
        )

    def finish(
        self, chunk: Chunk, begun: Pending[Answer] | None, check: Callable[[float], None]
    ) -> tuple[list[Record], Answer]:
        """Wait for a chunk that has begun, and try it again where the engine fails.

        Args:
            check: waits so many seconds, or less and raises where nobody wants the answer any more.

        Returns:
            one record a name, in order.

        Raises:
            RequestError: the engine failed each time.
            EngineStoppedError: the engine takes nothing any more.
        """
        answer = self._answer(chunk, begun, check) if chunk.decoded else NOTHING
        self._tell(chunk, answer)
        verdicts = iter(answer.verdicts)
        records = [
            verdict_record(name, next(verdicts), chunk.bundle.labels)
            if isinstance(image, Tensor)
            else error_record(name, image)
            for name, image in zip(chunk.names, chunk.images, strict=True)
        ]
        return records, answer

    def _answer(self, chunk: Chunk, begun: Pending[Answer] | None, check: Callable[[float], None]) -> Answer:
        for attempt in range(ATTEMPTS):
            try:
                # The first may not have been taken.
                begun = begun or self.begin(chunk)
                if begun is not None:
                    return _awaited(begun, check)
            except (RequestError, concurrent.futures.CancelledError) as error:
                begun = None
                if self._engine.state in (EngineState.DRAINING, EngineState.STOPPED, EngineState.BROKEN):
                    raise EngineStoppedError from error
                if attempt == ATTEMPTS - 1:
                    raise EngineError(f"the images could not be judged in {ATTEMPTS} attempts ({error})") from error
            check(FIRST_PAUSE_SECONDS * 2**attempt)
        raise AssertionError("the last attempt returns or raises")

    def _tell(self, chunk: Chunk, answer: Answer) -> None:
        if answer.verdicts:
            pairs = zip(chunk.positions, chunk.images, strict=True)
            self._observability.judged(
                request_id=chunk.request_id,
                key_id=chunk.key_id,
                bundle=chunk.bundle,
                verdicts=answer.verdicts,
                digests=[pixel_digest(image) for image in chunk.decoded],
                queue_seconds=answer.queue_seconds,
                compute_seconds=answer.compute_seconds,
                source=chunk.source,
                positions=[position for position, image in pairs if isinstance(image, Tensor)],
                images=torch.stack(chunk.decoded),
            )


def _awaited(begun: Pending[Answer], check: Callable[[float], None]) -> Answer:
    try:
        while True:
            done, _ = concurrent.futures.wait([begun.future], timeout=POLL_SECONDS)
            if done:
                return begun.future.result()
            check(0.0)
    except BaseException:
        begun.cancel()
        raise
