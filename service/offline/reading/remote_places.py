"""Files behind URLs, read in parts."""

import dataclasses
import errno
import io
import time
from collections.abc import Mapping
from typing import IO, Any

from service.errors import InputError
from service.offline.reading.urls import (
    WEB,
    UnreachableError,
    filesystem_of,
    patiently,
    protocol_of,
    shown_name,
    stamp_of,
)

BUFFER_BYTES = 2**18
"""Of a stream that are asked for at once; headers of archives stand as far apart as its images are large."""

CURRENT_SECONDS = 30.0
"""For so long a server is not asked again whether a file is still the same."""

PLAIN = {"Accept-Encoding": "identity"}
"""Bytes as they are: sizes and parts of compressed answers would be of something else."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Probe:
    """What a server says of a file.

    Attributes:
        size: in bytes; None where it does not say.
        has_parts: whether it gives parts of it.
    """

    size: int | None
    stamp: str
    has_parts: bool


def probe(url: str) -> Probe:
    """Ask a server about a file.

    Raises:
        InputError: there is none, or it may not be read.
        UnreachableError: the server cannot be asked.
    """
    filesystem = filesystem_of(url)
    if protocol_of(url) in WEB:
        return patiently(lambda: _web_probe(filesystem, url), url)
    info = patiently(lambda: filesystem.info(url), url)
    if info.get("type") == "directory":
        raise InputError("a folder and not a file")
    return Probe(size=info.get("size"), stamp=stamp_of(info), has_parts=True)


def opened_web(filesystem: Any, url: str, headers: Mapping[str, str] = PLAIN) -> Any:
    """The answer to one request, as a stream; `.r` is the answer, with status and headers.

    A size is given so that the library does not ask for it by a request of its own.
    """
    return filesystem.open(url, "rb", block_size=0, size=1, headers=dict(headers))


def read_at_most(answer: Any, n_bytes: int) -> bytes:
    """What an answer holds, up to so many bytes."""
    pieces = []
    while n_bytes and (piece := answer.read(n_bytes)):
        pieces.append(piece)
        n_bytes -= len(piece)
    return b"".join(pieces)


class RemotePlace:
    """A file behind a URL; see `service.offline.reading.places.Place`.

    Raises:
        InputError: there is none, or it may not be read.
        UnreachableError: the server cannot be asked.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._filesystem = filesystem_of(url)
        found = probe(url)
        self.size = found.size
        self.stamp = found.stamp
        self.is_seekable = found.has_parts and found.size is not None
        self._asked_at = time.monotonic()

    def stream(self, buffer_bytes: int = BUFFER_BYTES) -> IO[bytes]:
        if self.is_seekable:
            return io.BufferedReader(_Parts(self), buffer_bytes)
        opened = patiently(lambda: opened_web(self._filesystem, self._url), self._url)
        return io.BufferedReader(_Forward(opened, self._url), buffer_bytes)

    def read_at(self, position: int, n_bytes: int) -> bytes:
        end = min(position + n_bytes, self.size or 0)
        if position >= end:
            return b""
        read = _web_part if protocol_of(self._url) in WEB else _stored_part
        data = patiently(lambda: read(self._filesystem, self._url, position, end), self._url)
        if len(data) != end - position:
            raise InputError("the server gave another part of the file than it was asked for")
        return data

    def has_changed(self) -> bool:
        if time.monotonic() - self._asked_at < CURRENT_SECONDS:
            return False
        now = probe(self._url)
        self._asked_at = time.monotonic()
        return (now.stamp, now.size) != (self.stamp, self.size)

    def close(self) -> None:
        """Nothing stays open between requests."""


class _Parts(io.RawIOBase):
    def __init__(self, place: RemotePlace) -> None:
        self._place = place
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._place.size or 0}[whence]
        self._position = start + offset
        return self._position

    def tell(self) -> int:
        return self._position

    def readinto(self, buffer: Any) -> int:
        data = self._place.read_at(self._position, len(buffer))
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)


class _Forward(io.RawIOBase):
    """One answer, to its end; where it breaks off, it cannot be gone on with."""

    def __init__(self, answer: Any, url: str) -> None:
        self._answer, self._url = answer, url

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            data = self._answer.read(len(buffer))
        except Exception as error:
            raise UnreachableError(errno.EIO, f"{shown_name(self._url)} broke off ({type(error).__name__})") from error
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        if not self.closed:
            self._answer.close()
        super().close()


def _web_probe(filesystem: Any, url: str) -> Probe:
    """Ask for one byte. Not every server answers to HEAD, least of all where the URL is signed."""
    with opened_web(filesystem, url, {**PLAIN, "Range": "bytes=0-0"}) as answer:
        headers, status = answer.r.headers, answer.r.status
    total = headers.get("Content-Range", "").rpartition("/")[2] if status == 206 else headers.get("Content-Length", "")
    # Longer numbers are sizes of nothing, and fit in no listing.
    size = int(total) if total.isdigit() and len(total) <= 18 else None
    return Probe(size=size, stamp=stamp_of(headers), has_parts=status == 206)


def _web_part(filesystem: Any, url: str, start: int, end: int) -> bytes:
    """One byte more at most: a server may send all of a file though it was asked for a part."""
    with opened_web(filesystem, url, {**PLAIN, "Range": f"bytes={start}-{end - 1}"}) as answer:
        return read_at_most(answer, end - start + 1)


def _stored_part(filesystem: Any, url: str, start: int, end: int) -> bytes:
    data: bytes = filesystem.cat_file(url, start=start, end=end)
    return data
