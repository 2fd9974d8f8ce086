"""Where in the state folder the files of audits lie."""

import os
import secrets
import shutil
import threading
from collections.abc import Collection
from pathlib import Path

from service.audits.store import Audit
from service.errors import InputError, OverloadedError
from service.settings import ServeSettings

MOST_UPLOADS_OF_A_KEY, MOST_UPLOADS = 2, 8
"""Archives that come in at the same time."""


def state_folder(settings: ServeSettings) -> Path:
    """The folder that the settings name, or the user's own.

    Raises:
        InputError: there is neither.
    """
    if settings.state is not None:
        return settings.state.absolute()
    named = os.environ.get("XDG_STATE_HOME", "")
    try:
        base = Path(named) if Path(named).is_absolute() else Path.home() / ".local" / "state"
    except RuntimeError as error:
        raise InputError(
            "there is no home folder to keep audits and feedback in; name a folder with --state"
        ) from error
    return base / "isthmus"


class Places:
    """Archives as they came, archives unpacked, and archives that are still coming."""

    def __init__(self, folder: Path) -> None:
        # Files are opened below it step by step, and no step may be a link.
        folder = folder.resolve()
        self.uploads = folder / "uploads"
        self._archives = folder / "archives"
        self._unpacked = folder / "unpacked"

    def archive(self, audit: Audit) -> Path:
        """The archive of an audit."""
        return self._archives / audit.id

    def unpacked(self, audit: Audit) -> Path:
        """The folder of its files, under numbers."""
        return self._unpacked / audit.id

    def prepare(self, wanted: Collection[str]) -> None:
        """Make the folders, and take out what belongs to none of the wanted audits.

        Raises:
            InputError: they cannot be written.
        """
        shutil.rmtree(self.uploads, ignore_errors=True)
        try:
            for folder in (self.uploads, self._archives, self._unpacked):
                folder.mkdir(mode=0o700, exist_ok=True)
                for path in folder.iterdir():
                    if path.name not in wanted:
                        _remove(path)
        except OSError as error:
            raise InputError(
                f"{error.filename} cannot be written ({error.strerror}); see to its permissions"
            ) from error

    def remove(self, audit: Audit) -> None:
        """Take the files of an audit out, as far as they are there."""
        _remove(self.archive(audit))
        _remove(self.unpacked(audit))


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


class Uploads:
    """Places for archives that are coming in; thread-safe."""

    def __init__(self, places: Places) -> None:
        self._folder = places.uploads
        self._lock = threading.Lock()
        self._owners: dict[Path, str] = {}

    def open(self, key_id: str) -> Path:
        """A name for a new file.

        Raises:
            OverloadedError: too many archives come in already.
        """
        with self._lock:
            n_own = sum(owner == key_id for owner in self._owners.values())
            if n_own >= MOST_UPLOADS_OF_A_KEY or len(self._owners) >= MOST_UPLOADS:
                raise OverloadedError("too many archives come in at the same time; wait for one", retry_after=5.0)
            path = self._folder / secrets.token_hex(16)
            self._owners[path] = key_id
        return path

    def close(self, path: Path) -> None:
        """Take the file out, if it is still there."""
        path.unlink(missing_ok=True)
        with self._lock:
            self._owners.pop(path, None)
