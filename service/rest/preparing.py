"""From files, or pixels that came by the network, to images that the engine takes; this runs in the decoding threads.

A request gets one group of files a thread at a time, so that no request keeps the threads from the others.
"""

import dataclasses
import threading
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, TypeVar

import torch
from jaxtyping import Float, Shaped, UInt8
from torch import Tensor

from detector.types import ImageError
from service.engine.waiting import answered
from service.engine.work import Pending
from service.errors import InputError, TooLargeError
from service.images import DecodingLimits, decode, pixel_digest
from service.rest.disconnects import Watch
from service.runtime import Runtime, ServedBundle
from service.settings import ServeSettings

T = TypeVar("T")

GROUP_BYTES = 256 * 1024
"""Files of a group: handing work to another thread costs more than decoding a small image."""


@dataclasses.dataclass(frozen=True, eq=False)
class PreparedImage:
    """An image that can be judged.

    Attributes:
        pixels: the classifier's own shape; uint8, or float32 in [0, 1].
        digest: names the pixels in logs and feedback.
    """

    pixels: UInt8[Tensor, "channel height width"] | Float[Tensor, "channel height width"]
    digest: str


def require_number(n_images: int, settings: ServeSettings) -> None:
    """Refuse more images than one request may have.

    Raises:
        TooLargeError: there are more.
    """
    if n_images > settings.files:
        raise TooLargeError(
            f"{n_images} images came in one request, and {settings.files} are taken; send several requests"
        )


def pooled(runtime: Runtime, job: Callable[[], T]) -> Pending[T]:
    """Have a decoding thread do something; cancelled, it is not begun any more."""
    pending: Pending[T] = Pending(_cancel)
    pending.future = runtime.decoders.submit(job)
    return pending


async def all_pooled(
    runtime: Runtime, jobs: Sequence[Callable[[Callable[[], bool]], T]], *, deadline: float, gone: Watch
) -> list[T]:
    """Have the decoding threads do several things; each may ask whether its answer is still wanted.

    Raises:
        DeadlineError, ClientGoneError: none is wanted any more.
    """
    given_up = threading.Event()
    pending = [pooled(runtime, partial(job, lambda: not given_up.is_set())) for job in jobs]
    try:
        return [await answered(one, deadline=deadline, gone=gone) for one in pending]
    finally:
        given_up.set()
        for one in pending:
            one.cancel()


def _cancel(pending: Pending[Any]) -> None:
    pending.future.cancel()


def waves(files: Sequence[bytes], n_threads: int) -> Iterator[list[list[bytes]]]:
    """Neighbouring files in groups of at most `GROUP_BYTES`, or of one, and so many groups at a time as threads."""
    wave: list[list[bytes]] = [[]]
    n_bytes = 0
    for data in files:
        if wave[-1] and n_bytes + len(data) > GROUP_BYTES:
            if len(wave) == n_threads:
                yield wave
                wave = []
            wave.append([])
            n_bytes = 0
        wave[-1].append(data)
        n_bytes += len(data)
    if wave[-1]:
        yield wave


def decode_group(
    files: Sequence[bytes], bundle: ServedBundle, limits: DecodingLimits, is_wanted: Callable[[], bool]
) -> list[PreparedImage | InputError]:
    """Decode files, or say why not; stops early, with less than there are, once nobody waits any more."""
    results: list[PreparedImage | InputError] = []
    for data in files:
        if not is_wanted():
            break
        try:
            pixels = decode(data, bundle.preprocessing, limits)
        except InputError as error:
            results.append(error)
        else:
            results.append(PreparedImage(pixels, pixel_digest(pixels)))
    return results


def check_pixels(images: Shaped[Tensor, "*axes"], bundle: ServedBundle) -> list[PreparedImage | InputError]:
    """Look whether the bundle's classifier takes these pixels.

    Raises:
        ImageError: they have another shape or type, or lie outside [0, 1].
    """
    if images.dtype == torch.float32:
        bundle.detector.check(images)
    else:
        _check_bytes(images, bundle.detector.classifier.input_shape)
    return [PreparedImage(pixels, pixel_digest(pixels)) for pixels in images]


def _check_bytes(images: Tensor, expected: tuple[int, int, int]) -> None:
    if images.dtype != torch.uint8:
        raise ImageError(f"pixels came as {images.dtype}; give float32 in [0, 1], or uint8")
    if tuple(images.shape[1:]) != expected:
        raise ImageError(
            f"images of shape {tuple(images.shape[1:])} (channel, height, width) came where the classifier takes "
            f"{expected}; resize or convert them first"
        )
