"""Compressed bodies, taken apart piece by piece: what a piece holds is bounded, however little came."""

import enum
import zlib

from service.errors import InputError, UnsupportedMediaError

PIECE = 256 * 1024
"""Bytes that are made at once, a millisecond's work."""


class Coding(enum.Enum):
    """Content codings that are spoken, with what zlib calls them."""

    GZIP = 16 + zlib.MAX_WBITS
    DEFLATE = zlib.MAX_WBITS


CODINGS = {b"gzip": Coding.GZIP, b"x-gzip": Coding.GZIP, b"deflate": Coding.DEFLATE}


def coding_of(values: list[bytes]) -> Coding | None:
    """The coding that Content-Encoding names; None where the body is as it is.

    Raises:
        UnsupportedMediaError: another one, or several.
    """
    names = [name.strip().lower() for value in values for name in value.split(b",")]
    named = [name for name in names if name not in {b"", b"identity"}]
    if not named:
        return None
    if len(named) > 1 or named[0] not in CODINGS:
        raise UnsupportedMediaError("a body may be compressed once, by gzip or deflate; send it so, or as it is")
    return CODINGS[named[0]]


class Inflater:
    """One compressed body."""

    def __init__(self, coding: Coding) -> None:
        self._stream = zlib.decompressobj(coding.value)
        self._waiting = b""
        self._has_begun = False

    def feed(self, data: bytes) -> None:
        """Take compressed bytes; all before must have been taken out."""
        self._waiting += data
        self._has_begun = self._has_begun or bool(data)

    def take(self) -> bytes:
        """The next piece, of at most `PIECE` bytes; empty where there is none yet.

        Raises:
            InputError: the body is no such stream, or goes on after its end.
        """
        try:
            piece = self._stream.decompress(self._waiting, PIECE)
        except zlib.error:
            raise InputError("the body is not what its Content-Encoding says: gzip, or deflate as in zlib") from None
        self._waiting = self._stream.unconsumed_tail
        if self._stream.unused_data:
            raise InputError("the compressed body goes on after its end; send one stream")
        return piece

    def finish(self) -> None:
        """Say that no more comes.

        Raises:
            InputError: the stream has not ended.
        """
        if self._has_begun and not self._stream.eof:
            raise InputError("the compressed body ends too early; send the whole stream")
