"""From encoded images or pixels to verdicts: the one place where the protocols reach the engine.

The caller holds the permit, `with runtime.engine.permit() as permit: …`, from before it reads the body until it has its
answer, and so releases it once, however it ends. What is given up is not begun any further.
"""

import dataclasses
import time
from collections.abc import Awaitable, Sequence
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING

import torch
from jaxtyping import Shaped
from torch import Tensor

from detector.verdict import Verdict
from service.engine.waiting import answered
from service.engine.work import Answer, Ask, Lane, Priority
from service.errors import InputError
from service.images import DecodingLimits
from service.records import Record, error_record, verdict_record
from service.rest.disconnects import Watch, client_gone, watching
from service.rest.preparing import (
    PreparedImage,
    all_pooled,
    check_pixels,
    decode_group,
    require_number,
    waves,
)
from service.runtime import Runtime, ServedBundle
from service.settings import ANONYMOUS

if TYPE_CHECKING:
    from service.engine.permits import Permit

__all__ = ["Judged", "Options", "Stages", "client_gone", "judge_encoded", "judge_pixels"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """What a request may say about how it is judged.

    Attributes:
        false_positive_rate: None takes the server's.
        seconds: what the answer may take; None takes the server's, and its longest is the most.
        source: `request`, or what else the images came by; only requests count towards drift.
    """

    request_id: str
    key_id: str = ANONYMOUS
    false_positive_rate: float | None = None
    priority: Priority = Priority.NORMAL
    seconds: float | None = None
    lane: Lane = Lane.INTERACTIVE
    source: str = "request"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Stages:
    """Where the time went, in seconds."""

    decode: float
    queue: float
    compute: float
    total: float


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Judged:
    """One record a name, in order.

    Attributes:
        verdicts: None where the image could not be decoded.
        images: those that were judged, shape (image, channel, height, width), uint8 or float32; None if none was.
    """

    records: list[Record]
    verdicts: list[Verdict | None]
    images: Tensor | None
    stages: Stages


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Request:
    """One request while it is judged."""

    runtime: Runtime
    bundle: ServedBundle
    options: Options
    rate: float
    started: float
    deadline: float


NOTHING = Answer(verdicts=(), queue_seconds=0.0, compute_seconds=0.0)


def deadline_of(runtime: Runtime, options: Options) -> float:
    """When the time of a request that begins now is up, on the clock of `time.monotonic`."""
    asked = options.seconds or runtime.settings.request_seconds
    return time.monotonic() + min(asked, runtime.settings.longest_request_seconds)


async def judge_encoded(
    runtime: Runtime,
    bundle: ServedBundle,
    files: Sequence[tuple[str, bytes]],
    options: Options,
    gone: Awaitable[None] | None,
    permit: "Permit | None",
) -> Judged:
    """Decode and judge files given as (name, bytes); one that cannot be decoded does not spoil the others.

    Args:
        gone: completes when nobody waits for the answer any more; None where somebody always does.
        permit: holds a place for one image, and grows to all of them; None where no place is counted.

    Raises:
        InputError, DetectorError: there is no file, or the false-positive rate is not supported.
        TooLargeError, OverloadedError: there is no place for so many images.
        DeadlineError, ClientGoneError, EngineError: see `service.errors`.
    """
    request = _begin(runtime, bundle, options, len(files), permit)
    limits = DecodingLimits(n_bytes=runtime.settings.image_bytes, n_pixels=runtime.settings.image_pixels)
    async with watching(gone) as watch:
        results: list[PreparedImage | InputError] = []
        for wave in waves([data for _, data in files], runtime.settings.decoding_threads):
            jobs = [partial(decode_group, group, bundle, limits) for group in wave]
            results += chain.from_iterable(await all_pooled(runtime, jobs, deadline=request.deadline, gone=watch))
        decoded = [result.pixels for result in results if isinstance(result, PreparedImage)]
        images = torch.stack(decoded) if decoded else None
        return await _judged(request, [name for name, _ in files], results, images, watch)


async def judge_pixels(
    runtime: Runtime,
    bundle: ServedBundle,
    images: Shaped[Tensor, "image channel height width"],
    names: Sequence[str],
    options: Options,
    gone: Awaitable[None] | None,
    permit: "Permit | None",
) -> Judged:
    """Judge images of shape (image, channel, height, width), the classifier's own; uint8, or float32 in [0, 1].

    Raises:
        ImageError: they have another shape, or pixels outside [0, 1].
        And whatever `judge_encoded` raises.
    """
    request = _begin(runtime, bundle, options, len(images), permit)
    async with watching(gone) as watch:
        checking = [lambda _: check_pixels(images, bundle)]
        [results] = await all_pooled(runtime, checking, deadline=request.deadline, gone=watch)
        return await _judged(request, names, results, images, watch)


def _begin(
    runtime: Runtime, bundle: ServedBundle, options: Options, n_images: int, permit: "Permit | None"
) -> _Request:
    """Check what can be checked before any work, and take the places."""
    started = time.monotonic()
    if n_images == 0:
        raise InputError("the request holds no image; give at least one")
    rate = options.false_positive_rate
    if rate is not None:
        bundle.detector.supports(rate)
    if permit is not None:
        require_number(n_images, runtime.settings)
        permit.grow(n_images)
    return _Request(
        runtime=runtime,
        bundle=bundle,
        options=options,
        rate=bundle.detector.false_positive_rate if rate is None else rate,
        started=started,
        deadline=deadline_of(runtime, options),
    )


async def _judged(
    request: _Request,
    names: Sequence[str],
    prepared: Sequence[PreparedImage | InputError],
    images: Tensor | None,
    watch: Watch,
) -> Judged:
    """Ask the engine, tell the observability, and set the answers between the errors."""
    decode_seconds = time.monotonic() - request.started
    answer = NOTHING
    if images is not None:
        pending = request.runtime.engine.submit(_ask(request, images))
        answer = await answered(pending, deadline=request.deadline, gone=watch)
        good = {index: image.digest for index, image in enumerate(prepared) if isinstance(image, PreparedImage)}
        request.runtime.observability.judged(
            request_id=request.options.request_id,
            key_id=request.options.key_id,
            bundle=request.bundle,
            verdicts=answer.verdicts,
            digests=list(good.values()),
            queue_seconds=answer.queue_seconds,
            compute_seconds=answer.compute_seconds,
            source=request.options.source,
            decode_seconds=decode_seconds,
            positions=list(good),
            images=images,
        )
    answers = iter(answer.verdicts)
    verdicts = [None if isinstance(image, InputError) else next(answers) for image in prepared]
    return Judged(
        records=[
            verdict_record(name, verdict, request.bundle.labels) if verdict else error_record(name, str(image))
            for name, image, verdict in zip(names, prepared, verdicts, strict=True)
        ],
        verdicts=verdicts,
        images=images,
        stages=Stages(
            decode=decode_seconds,
            queue=answer.queue_seconds,
            compute=answer.compute_seconds,
            total=time.monotonic() - request.started,
        ),
    )


def _ask(request: _Request, images: Tensor) -> Ask:
    options = request.options
    return Ask(
        bundle=request.bundle.name,
        images=images,
        request_id=options.request_id,
        deadline=request.deadline,
        false_positive_rate=request.rate,
        key_id=options.key_id,
        priority=options.priority,
        lane=options.lane,
    )
