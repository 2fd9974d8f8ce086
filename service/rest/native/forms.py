"""Taking a multipart form apart that lies in memory, without temporary files."""

import dataclasses
from collections.abc import Mapping

from service.errors import InputError, TooLargeError
from service.rest.multipart import FormReader, boundary_of

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
    boundary = boundary_of(content_type)
    _check_boundaries(body, b"--" + boundary, most_files + MOST_FIELDS + 1)
    reader = _Reader(boundary, most_files)
    reader.read(body)
    reader.finish()
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


class _Reader(FormReader):
    """Keeps every part."""

    def __init__(self, boundary: bytes, most_files: int) -> None:
        super().__init__(boundary)
        self.files: list[tuple[str, str, bytes]] = []
        self.fields: dict[str, str] = {}
        self._most_files = most_files
        self._pieces: list[bytes] = []

    def part_begins(self, options: Mapping[bytes, bytes]) -> None:
        if b"name" not in options:
            raise InputError("a part of the form names no field; give each a Content-Disposition with a name")
        self._field = _text(options[b"name"])
        self._file_name = _text(options[b"filename"]) if b"filename" in options else None
        if self._file_name is not None:
            if len(self.files) == self._most_files:
                raise TooLargeError(f"the form has more than {self._most_files} files; send several requests")
        elif len(self.fields) == MOST_FIELDS:
            raise TooLargeError(f"the form has more than {MOST_FIELDS} fields besides its files; leave some out")

    def part_goes_on(self, data: bytes) -> None:
        self._pieces.append(data)

    def part_ends(self) -> None:
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


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")
