"""From listed items to pixels, some items ahead of whoever takes them."""

import collections
import dataclasses
import re
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from jaxtyping import UInt8
from torch import Tensor

from models.preprocessing import Preprocessing
from service.errors import InputError
from service.images import DecodingLimits, decode, pixel_digest
from service.offline.items import Item

_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Decoded:
    """One item, opened.

    Attributes:
        pixels: shape (channel, height, width); None where they cannot be had.
        digest: of the pixels.
        error: why there are no pixels.
        seconds: reading and decoding, without waiting for either.
    """

    pixels: UInt8[Tensor, "channel height width"] | None
    digest: str | None
    error: str | None
    seconds: float


Read = Callable[[Sequence[Item]], Iterator[bytes | str]]


def decoded_items(
    items: Sequence[Item],
    read: Read,
    decoders: ThreadPoolExecutor,
    step: Callable[[bytes | str, float], Decoded],
    *,
    ahead: int,
) -> Iterator[Decoded]:
    """Read items one after the other, and decode so many ahead; they come in order.

    Args:
        read: gives the bytes of each item, or why they cannot be had.
        step: makes pixels of them; given the seconds that reading took.
    """
    pending: collections.deque[Future[Decoded]] = collections.deque()
    reads = read(items)
    try:
        for item in items:
            begun = time.perf_counter()
            found = next(reads)
            pending.append(decoders.submit(step, item.refused or found, time.perf_counter() - begun))
            if len(pending) > ahead:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        for future in pending:
            future.cancel()


def decode_read(
    found: bytes | str, read_seconds: float, *, preprocessing: Preprocessing, limits: DecodingLimits
) -> Decoded:
    """Make pixels of what reading an item gave."""
    begun = time.perf_counter()
    pixels = digest = error = None
    if isinstance(found, str):
        error = found
    else:
        try:
            pixels = decode(found, preprocessing, limits)
            digest = pixel_digest(pixels)
        except InputError as failure:
            error = str(failure)
    return Decoded(
        pixels=pixels,
        digest=digest,
        error=None if error is None else _same_in_every_run(error),
        seconds=read_seconds + time.perf_counter() - begun,
    )


def _same_in_every_run(text: str) -> str:
    """As Parquet can hold it, and without addresses of memory, which a library may have put in."""
    return _ADDRESS.sub("", text).encode(errors="backslashreplace").decode()
