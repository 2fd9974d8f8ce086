"""Bearer keys, and whose they are.

Keys are kept and compared as digests, all of them each time, so that the time taken says nothing about any. A file of
keys may change while the server runs; give it another content by renaming, so that it is never half written. Several
keys may share an id, which is how one is replaced by the next without a gap.
"""

import hashlib
import hmac
import logging
import re
import time
from collections.abc import Callable
from pathlib import Path

from pydantic import SecretStr

from service.errors import InputError
from service.settings import ANONYMOUS, ServeSettings

SHORTEST_KEY = 16
SECONDS_BETWEEN_LOOKS = 1.0

IDENTIFIER = re.compile(r"[A-Za-z0-9._-]{1,64}")

Signature = tuple[int, int, int]

logger = logging.getLogger(__name__)


def parse_keys(text: str, source: str) -> dict[bytes, str]:
    """Ids by the sha256 of their keys, from `ID:KEY` separated by commas or lines; `#` begins a comment line.

    Raises:
        InputError: an entry is something else. The message holds no key.
    """
    keys: dict[bytes, str] = {}
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    entries = [entry.strip() for line in lines for entry in line.split(",")]
    for number, entry in enumerate(filter(None, entries), start=1):
        name, colon, key = entry.partition(":")
        if not colon or not IDENTIFIER.fullmatch(name) or name == ANONYMOUS:
            raise InputError(
                f"entry {number} of {source} is not ID:KEY; "
                f"an id is made of A-Z a-z 0-9 . _ - and is not {ANONYMOUS!r}, and a comma separates entries"
            )
        if len(key) < SHORTEST_KEY or not key.isascii() or not key.isprintable() or " " in key:
            raise InputError(
                f"the key of {name!r} in {source} must be at least {SHORTEST_KEY} printable ASCII characters without "
                "spaces; make one with: openssl rand -hex 32"
            )
        if keys.setdefault(digest_of(key.encode()), name) != name:
            raise InputError(f"the key of {name!r} in {source} is another's, too; give everybody a key of their own")
    return keys


def digest_of(key: bytes) -> bytes:
    """What is kept of a key."""
    return hashlib.sha256(key).digest()


class KeyRing:
    """The keys that open the server."""

    def __init__(self, keys: SecretStr | None, path: Path | None, clock: Callable[[], float] = time.monotonic) -> None:
        """Read the keys.

        Raises:
            InputError: there is none, or they cannot be read.
        """
        self._fixed = {} if keys is None else parse_keys(keys.get_secret_value(), "the keys")
        self._path = path
        self._clock = clock
        self._signature: Signature | None = None
        self._next_look = clock() + SECONDS_BETWEEN_LOOKS
        self._from_file = {} if path is None else self._read(path)
        if not self._fixed and not self._from_file:
            raise InputError("keys are asked for, but there is none; write at least one ID:KEY")

    @classmethod
    def from_settings(cls, settings: ServeSettings) -> "KeyRing | None":
        """The keys of a server; None where it needs none.

        Raises:
            InputError: see `__init__`.
        """
        return cls(settings.keys, settings.keys_file) if settings.needs_keys else None

    def owner_of(self, key: bytes) -> str | None:
        """The id of a key; None where it is nobody's."""
        self._look()
        given = digest_of(key)
        owner = None
        for known, name in (*self._fixed.items(), *self._from_file.items()):
            if hmac.compare_digest(known, given):
                owner = name
        return owner

    def _look(self) -> None:
        """Read the file again where it has changed; where it cannot be read, go on with what there was."""
        now = self._clock()
        if self._path is None or now < self._next_look:
            return
        self._next_look = now + SECONDS_BETWEEN_LOOKS
        try:
            if _signature_of(self._path) == self._signature:
                return
            keys = self._read(self._path)
            if not keys:
                raise InputError(f"{self._path} holds no key")
        except (InputError, OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            logger.error("the keys were not read again, and those from before still hold: %s", reason)
            return
        self._from_file = keys
        logger.info("read %d keys from %s", len(keys), self._path)

    def _read(self, path: Path) -> dict[bytes, str]:
        # Looked at before it is read: what changes in between is seen the next time.
        self._signature = _signature_of(path)
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            raise InputError(f"{path} is not a text file of ID:KEY lines") from None
        return parse_keys(text, str(path))


def _signature_of(path: Path) -> Signature:
    status = path.stat()
    return status.st_mtime_ns, status.st_size, status.st_ino
