"""An archive that comes in: written to disk as it comes, whatever its size, in a body or in a form."""

import asyncio
import dataclasses
from pathlib import Path
from typing import IO, TYPE_CHECKING, Protocol

from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header
from starlette.requests import ClientDisconnect, Request

from service.audits.database import StateError
from service.errors import ClientGoneError, InputError, TooLargeError
from service.rest.guards.bodies import FORM

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

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
        ClientGoneError: the client left before all of it had come.
        StateError: the disk does not take it.
    """
    content_type = request.headers.get("content-type", "")
    is_form = content_type.partition(";")[0].strip().lower() == FORM
    taker: _Taker = _FormTaker(content_type) if is_form else _BodyTaker()
    try:
        with await asyncio.to_thread(path.open, "xb") as file:
            n_written = await _copy(request, taker, file, n_bytes)
    except ClientDisconnect as error:
        raise ClientGoneError("the client left before its archive had come") from error
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


class _FormTaker:
    """The archive is the one file of a form."""

    def __init__(self, content_type: str) -> None:
        self.received = Received()
        boundary = parse_options_header(content_type)[1].get(b"boundary")
        if not boundary:
            raise InputError("the Content-Type of the form names no boundary; let your client write that header")
        self._found = bytearray()
        self._n_files = 0
        self._is_ended = False
        self._begin()
        try:
            self._parser = MultipartParser(boundary, self._callbacks())
        except FormParserError as error:
            raise _damaged(error) from error

    def take(self, piece: bytes) -> bytes:
        self._found.clear()
        try:
            self._parser.write(piece)
        except FormParserError as error:
            raise _damaged(error) from error
        return bytes(self._found)

    def finish(self) -> None:
        if not self._is_ended:
            raise InputError("the form is cut off: its last boundary is missing; send it again whole")

    def _callbacks(self) -> "MultipartCallbacks":
        return {
            "on_part_begin": self._begin,
            "on_header_field": self._header_name,
            "on_header_value": self._header_value,
            "on_header_end": self._header_end,
            "on_headers_finished": self._headers_finished,
            "on_part_data": self._data,
            "on_part_end": self._part_end,
            "on_end": self._end,
        }

    def _begin(self) -> None:
        self._header, self._value, self._disposition = b"", b"", b""
        self._field, self._text, self._is_file = "", b"", False

    def _header_name(self, data: bytes, start: int, end: int) -> None:
        self._header = self._longer(self._header, data[start:end])

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value = self._longer(self._value, data[start:end])

    def _header_end(self) -> None:
        if self._header.lower() == b"content-disposition":
            self._disposition = self._value
        self._header, self._value = b"", b""

    def _headers_finished(self) -> None:
        _, options = parse_options_header(self._disposition)
        self._field = options.get(b"name", b"").decode(errors="replace")
        self._is_file = b"filename" in options
        if self._is_file:
            self._n_files += 1
            self.received.name = options[b"filename"].decode(errors="replace")[:256] or self.received.name
            if self._field != FIELD or self._n_files > 1:
                raise InputError(f"a form takes one file, in the field {FIELD!r}; send audits one by one")

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._is_file:
            self._found += data[start:end]
        elif len(self._text) + end - start > LONGEST_FIELD:
            raise TooLargeError(
                f"the field {self._field[:64]!r} has more than {LONGEST_FIELD} bytes; is it the archive?"
            )
        else:
            self._text += data[start:end]

    def _part_end(self) -> None:
        if self._is_file:
            return
        if self._field in self.received.fields or len(self.received.fields) == MOST_FIELDS:
            raise InputError(f"the field {self._field[:64]!r} comes twice, or there are too many; give each once")
        self.received.fields[self._field] = self._text.decode(errors="replace")

    def _end(self) -> None:
        self._is_ended = True

    @staticmethod
    def _longer(text: bytes, piece: bytes) -> bytes:
        if len(text) + len(piece) > LONGEST_HEADER:
            raise InputError("a part of the form has too long a header; let your client write it")
        return text + piece


def _damaged(error: FormParserError) -> InputError:
    return InputError(f"the form is damaged ({' '.join(str(error).split())[:200]}); send it again whole")
