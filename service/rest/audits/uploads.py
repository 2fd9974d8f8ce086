"""An archive that comes in: written to disk as it comes, whatever its size, in a body or in a form."""

import asyncio
import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Protocol

from starlette.requests import Request

from service.audits.database import StateError
from service.errors import InputError, TooLargeError
from service.rest.guards.bodies import FORM
from service.rest.multipart import FormReader, boundary_of

FIELD = "archive"

WRITTEN_TOGETHER = 2**20
"""Bytes; each write is made in another thread, since a disk may be slow."""

MOST_FIELDS, LONGEST_FIELD, LONGEST_HEADER = 8, 4096, 8192


@dataclasses.dataclass(kw_only=True)
class Received:
    """What came besides the archive: its name, and the fields of the form."""

    name: str = "archive"
    fields: dict[str, str] = dataclasses.field(default_factory=dict)


class _Taker(Protocol):
    received: Received

    def take(self, piece: bytes) -> bytes: ...

    def finish(self) -> None: ...


async def receive_archive(request: Request, path: Path, n_bytes: int) -> Received:
    """Write the archive of a request to a new file.

    Args:
        n_bytes: the largest.

    Raises:
        InputError: there is none, or the form is damaged.
        TooLargeError: it is larger.
        ClientDisconnect: the client left before all of it had come.
        StateError: the disk does not take it.
    """
    content_type = request.headers.get("content-type", "")
    is_form = content_type.partition(";")[0].strip().lower() == FORM
    taker: _Taker = _FormTaker(content_type) if is_form else _BodyTaker()
    try:
        with await asyncio.to_thread(path.open, "xb") as file:
            n_written = await _copy(request, taker, file, n_bytes)
    except OSError as error:
        raise StateError(
            f"the archive cannot be kept ({error.strerror}); see to the disk of the state folder"
        ) from error
    taker.finish()
    if n_written == 0:
        raise InputError(f"no archive came; send one as the body, or in the field {FIELD!r} of a form")
    return taker.received


async def _copy(request: Request, taker: _Taker, file: IO[bytes], n_bytes: int) -> int:
    n_written = 0
    waiting = bytearray()
    async for piece in request.stream():
        waiting += taker.take(piece)
        if n_written + len(waiting) > n_bytes:
            raise TooLargeError(f"an archive may have {n_bytes} bytes, and this one has more; send several")
        if len(waiting) >= WRITTEN_TOGETHER:
            n_written += await asyncio.to_thread(file.write, bytes(waiting))
            waiting.clear()
    n_written += await asyncio.to_thread(file.write, bytes(waiting))
    return n_written


class _BodyTaker:
    """All of the body is the archive."""

    def __init__(self) -> None:
        self.received = Received()

    def take(self, piece: bytes) -> bytes:
        return piece

    def finish(self) -> None:
        """There is nothing to check."""


class _FormTaker(FormReader):
    """The archive is the one file of a form."""

    def __init__(self, content_type: str) -> None:
        super().__init__(boundary_of(content_type), longest_header=LONGEST_HEADER)
        self.received = Received()
        self._found = bytearray()
        self._n_files = 0

    def take(self, piece: bytes) -> bytes:
        self._found.clear()
        self.read(piece)
        return bytes(self._found)

    def part_begins(self, options: Mapping[bytes, bytes]) -> None:
        self._field, self._text = options.get(b"name", b"").decode(errors="replace"), b""
        self._is_file = b"filename" in options
        if self._is_file:
            self._n_files += 1
            self.received.name = options[b"filename"].decode(errors="replace")[:256] or self.received.name
            if self._field != FIELD or self._n_files > 1:
                raise InputError(f"a form takes one file, in the field {FIELD!r}; send audits one by one")

    def part_goes_on(self, data: bytes) -> None:
        if self._is_file:
            self._found += data
        elif len(self._text) + len(data) > LONGEST_FIELD:
            raise TooLargeError(
                f"the field {self._field[:64]!r} has more than {LONGEST_FIELD} bytes; is it the archive?"
            )
        else:
            self._text += data

    def part_ends(self) -> None:
        if self._is_file:
            return
        if self._field in self.received.fields or len(self.received.fields) == MOST_FIELDS:
            raise InputError(f"the field {self._field[:64]!r} comes twice, or there are too many; give each once")
        self.received.fields[self._field] = self._text.decode(errors="replace")
