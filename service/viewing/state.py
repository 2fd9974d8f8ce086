"""What the routes work with, made once."""

import dataclasses
import logging
import secrets
import threading
from pathlib import Path

import duckdb

from service.errors import InputError
from service.viewing.audit_files import AuditFiles
from service.viewing.index import ResultIndex
from service.viewing.pictures import Pictures
from service.viewing.queries import Queries

SECONDS_BETWEEN = 2.0
"""After what time new shards are looked for."""

logger = logging.getLogger(__name__)


class View:
    """An audit that is looked at.

    Attributes:
        token: another one in each process; with it pictures can be kept by a browser, which knows others by the same
            address.

    Raises:
        InputError: the folder is no audit.
    """

    def __init__(self, folder: Path, *, allow_urls: bool) -> None:
        self.files = AuditFiles(folder)
        self.index = ResultIndex(self.files)
        self.queries = Queries(self.index)
        self.pictures = Pictures(allow_urls=allow_urls)
        self.token = secrets.token_hex(8)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="index", daemon=True)
        self._choices = Choices(self)

    def start(self) -> None:
        """Take in what the audit has written, and what it still writes, from a thread of its own."""
        self._thread.start()

    def close(self) -> None:
        """Stop, and let go of everything."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join()
        self.pictures.close()
        self.index.close()

    def choices(self) -> dict[str, list[tuple[str, int]]]:
        """See `Queries.choices`; asked once for what the index holds."""
        return self._choices.get()

    def _follow(self) -> None:
        while not self._stopped.is_set():
            try:
                for _ in self.index.load():
                    if self._stopped.is_set():
                        return
            except (InputError, OSError, duckdb.Error):
                logger.exception("the results cannot be read")
            self._stopped.wait(SECONDS_BETWEEN)


@dataclasses.dataclass(eq=False)
class Choices:
    """The choices of a view as of the last time that its index grew."""

    view: View
    n_shards: int = -1
    found: dict[str, list[tuple[str, int]]] = dataclasses.field(default_factory=dict)
    lock: threading.Lock = dataclasses.field(default_factory=threading.Lock)

    def get(self) -> dict[str, list[tuple[str, int]]]:
        with self.lock:
            n_shards = self.view.index.n_shards
            if n_shards != self.n_shards:
                self.found, self.n_shards = self.view.queries.choices(), n_shards
            return self.found
