"""Taking a multipart form apart that lies in memory, without temporary files."""

import dataclasses
from typing import TYPE_CHECKING

from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header

from service.errors import InputError, TooLargeError

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

MOST_FIELDS = 16
LONGEST_FIELD = 4096

MOST_PADDING = 64
"""Blanks after a boundary; like what looks like a boundary but is none, the parser takes them one by one."""


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Form:
    """A form.

    Attributes:
        files: (field, file name, content).
        fields: those that are not files, by name.
    """

    files: list[tuple[str, str, bytes]]
    fields: dict[str, str]


def parse_form(content_type: str, body: bytes, *, most_files: int) -> Form:
    """Take a form apart.

    Raises:
        InputError: it is damaged or cut off, or a field comes twice.
        TooLargeError: it has more files or fields than are taken.
    """
    _, parameters = parse_options_header(content_type)
    boundary = parameters.get(b"boundary")
    if not boundary:
        raise InputError("the Content-Type of the form names no boundary; let your client write that header")
    _check_boundaries(body, b"--" + boundary, most_files + MOST_FIELDS + 1)
    reader = _Reader(most_files)
    try:
        parser = MultipartParser(boundary, reader.callbacks())
        parser.write(body)
        parser.finalize()
    except FormParserError as error:
        raise InputError(f"the form is damaged ({' '.join(str(error).split())[:200]}); send it again whole") from error
    if not reader.is_ended:
        raise InputError("the form is cut off: its last boundary is missing; send it again whole")
    return Form(files=reader.files, fields=reader.fields)


def _check_boundaries(body: bytes, boundary: bytes, most: int) -> None:
    """Refuse, before it is parsed, a form that would keep the parser busy."""
    at, n_found = body.find(boundary), 0
    while at >= 0:
        n_found += 1
        if n_found > most:
            raise TooLargeError(
                f"the form has more than {most - 1} parts, or its boundary stands within files; send fewer at once"
            )
        at += len(boundary)
        if not body[at : at + MOST_PADDING + 1].strip(b" \t") and len(body) > at + MOST_PADDING:
            raise InputError("the form is damaged (a boundary is followed by blanks); send it again whole")
        at = body.find(boundary, at)


class _Reader:
    """Hears what the parser finds."""

    def __init__(self, most_files: int) -> None:
        self.files: list[tuple[str, str, bytes]] = []
        self.fields: dict[str, str] = {}
        self.is_ended = False
        self._most_files = most_files
        self._begin()

    def callbacks(self) -> "MultipartCallbacks":
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
        self._name = self._value = b""
        self._disposition: bytes | None = None
        self._field = ""
        self._file_name: str | None = None
        self._pieces: list[bytes] = []

    def _header_name(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header_end(self) -> None:
        if self._name.lower() == b"content-disposition":
            self._disposition = self._value
        self._name = self._value = b""

    def _headers_finished(self) -> None:
        _, options = parse_options_header(self._disposition)
        if b"name" not in options:
            raise InputError("a part of the form names no field; give each a Content-Disposition with a name")
        self._field = _text(options[b"name"])
        if b"filename" in options:
            self._file_name = _text(options[b"filename"])
            if len(self.files) == self._most_files:
                raise TooLargeError(f"the form has more than {self._most_files} files; send several requests")
        elif len(self.fields) == MOST_FIELDS:
            raise TooLargeError(f"the form has more than {MOST_FIELDS} fields besides its files; leave some out")

    def _data(self, data: bytes, start: int, end: int) -> None:
        self._pieces.append(data[start:end])

    def _part_end(self) -> None:
        content = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
        self._pieces = []
        if self._file_name is not None:
            self.files.append((self._field, self._file_name, content))
            return
        if len(content) > LONGEST_FIELD:
            raise TooLargeError(
                f"the field {self._field[:100]!r} has {len(content)} bytes and no file name, and fields take "
                f"{LONGEST_FIELD}; give the file a name"
            )
        if self._field in self.fields:
            raise InputError(f"the field {self._field[:100]!r} comes twice; give it once")
        self.fields[self._field] = _text(content)

    def _end(self) -> None:
        self.is_ended = True


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")
