"""Taking a multipart form apart: what its parts are called, and whether all of it came."""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING

from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header

from service.errors import InputError

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks


def boundary_of(content_type: str) -> bytes:
    """What stands between the parts of a form.

    Raises:
        InputError: the header does not say.
    """
    boundary = parse_options_header(content_type)[1].get(b"boundary")
    if not boundary:
        raise InputError("the Content-Type of the form names no boundary; let your client write that header")
    return boundary


class FormReader(ABC):
    """Reads a form, whole or in pieces, and leaves its parts to whoever takes them.

    Args:
        longest_header: bytes of a header's name or value.

    Raises:
        InputError: the boundary is none, the form is damaged or cut off, or a header is too long.
    """

    def __init__(self, boundary: bytes, *, longest_header: float = math.inf) -> None:
        self._longest_header = longest_header
        self._is_ended = False
        self._begin()
        try:
            self._parser = MultipartParser(boundary, self._callbacks())
        except FormParserError as error:
            raise _damaged(error) from error

    def read(self, piece: bytes) -> None:
        """Read on."""
        try:
            self._parser.write(piece)
        except FormParserError as error:
            raise _damaged(error) from error

    def finish(self) -> None:
        """See whether all of it came."""
        if not self._is_ended:
            raise InputError("the form is cut off: its last boundary is missing; send it again whole")

    @abstractmethod
    def part_begins(self, options: Mapping[bytes, bytes]) -> None:
        """Hear what the Content-Disposition of the next part says, such as `name` and `filename`."""

    @abstractmethod
    def part_goes_on(self, data: bytes) -> None:
        """Hear some of its content."""

    @abstractmethod
    def part_ends(self) -> None:
        """Hear that there is no more of it."""

    def _callbacks(self) -> "MultipartCallbacks":
        return {
            "on_part_begin": self._begin,
            "on_header_field": self._header_name,
            "on_header_value": self._header_value,
            "on_header_end": self._header_end,
            "on_headers_finished": self._headers_finished,
            "on_part_data": self._data,
            "on_part_end": self.part_ends,
            "on_end": self._end,
        }

    def _begin(self) -> None:
        self._name = self._value = self._disposition = b""

    def _header_name(self, data: bytes, start: int, end: int) -> None:
        self._name = self._longer(self._name, data[start:end])

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value = self._longer(self._value, data[start:end])

    def _header_end(self) -> None:
        if self._name.lower() == b"content-disposition":
            self._disposition = self._value
        self._name = self._value = b""

    def _headers_finished(self) -> None:
        self.part_begins(parse_options_header(self._disposition)[1])

    def _data(self, data: bytes, start: int, end: int) -> None:
        self.part_goes_on(data[start:end])

    def _end(self) -> None:
        self._is_ended = True

    def _longer(self, text: bytes, piece: bytes) -> bytes:
        if len(text) + len(piece) > self._longest_header:
            raise InputError("a part of the form has too long a header; let your client write it")
        return text + piece


def _damaged(error: FormParserError) -> InputError:
    return InputError(f"the form is damaged ({' '.join(str(error).split())[:200]}); send it again whole")
