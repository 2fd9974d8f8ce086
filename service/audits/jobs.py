"""Audits of many files: what is asked for is kept, worked off in the background, and outlives the server."""

import os
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from service.audits.archives import reader_of
from service.audits.background import BackgroundJudge
from service.audits.database import Database
from service.audits.feedback_store import FeedbackStore
from service.audits.file_store import FileStore
from service.audits.places import Places, Uploads, state_folder
from service.audits.run import AuditRun, Workshop
from service.audits.sources import allowed_folder
from service.audits.store import Audit, AuditStore, Kind, State
from service.audits.workers import Workers
from service.errors import InputError, NotFoundError, OverloadedError
from service.runtime import ServedBundle
from service.settings import ServeSettings

if TYPE_CHECKING:
    from service.engine.engine import Engine
    from service.observability.observability import Observability

MOST_WAITING, MOST_KEPT = 16, 1000
"""Audits of one key that wait or run, and all of them."""

WAIT_SECONDS = 30.0


class AuditJobs:
    """The audits of a server and the feedback it was given; methods are safe from any thread and wait for the disk.

    Attributes:
        files, feedback: what is kept.
        uploads: where archives come in.
        judge: for whoever else has work that nobody waits for.
    """

    def __init__(
        self,
        settings: ServeSettings,
        bundles: Mapping[str, ServedBundle],
        engine: "Engine",
        observability: "Observability",
    ) -> None:
        """Open the state folder.

        Raises:
            InputError: it cannot be written, is damaged, or another server uses it.
        """
        folder = state_folder(settings)
        self._settings, self._bundles = settings, bundles
        self._database = Database(folder)
        self._store, self.files = AuditStore(self._database), FileStore(self._database)
        self.feedback = FeedbackStore(self._database)
        self.judge = BackgroundJudge(engine, observability)
        self._places = Places(folder)
        self.uploads = Uploads(self._places)
        self._workshop = Workshop(
            settings=settings, bundles=bundles, judge=self.judge, files=self.files, places=self._places
        )
        self._workers = Workers(self._store, self.files, self._places, self._run)
        self._is_closed = False

    def start(self) -> None:
        """Go on with what was interrupted, and from now on work off what comes.

        Raises:
            InputError: the state folder cannot be written.
        """
        self._workers.start()

    def close(self) -> None:
        """Stop where things stand; the next server goes on from there. May be called more than once."""
        if not self._is_closed:
            self._is_closed = True
            self._workers.close()
            self._database.close()

    def add_folder(self, text: str, *, bundle: str | None, false_positive_rate: float | None, key_id: str) -> Audit:
        """Queue an audit of a folder.

        Raises:
            InputError, DetectorError: the folder may not be audited, or an option makes no sense.
            NotFoundError: there is no such bundle.
            OverloadedError: the key has too many audits.
        """
        folder = allowed_folder(text, self._settings.audit_folders)
        self.require_room(key_id)
        audit = self._new(Kind.FOLDER, str(folder), bundle, false_positive_rate, key_id)
        self._store.add(audit)
        self._workers.notify()
        return audit

    def add_archive(
        self, upload: Path, name: str, *, bundle: str | None, false_positive_rate: float | None, key_id: str
    ) -> Audit:
        """Queue an audit of an archive that has come in; takes the file.

        Raises:
            UnsupportedMediaError: it is no archive that is read here.
            InputError, DetectorError: an option makes no sense.
            NotFoundError: there is no such bundle.
            OverloadedError: the key has too many audits.
        """
        reader_of(upload)
        self.require_room(key_id)
        audit = self._new(Kind.ARCHIVE, name, bundle, false_positive_rate, key_id)
        with upload.open("rb") as file:
            os.fsync(file.fileno())
        # In this order: an archive without an audit is swept away, an audit without its archive would be lost.
        upload.rename(self._places.archive(audit))
        self._store.add(audit)
        self._workers.notify()
        return audit

    def require_room(self, key_id: str) -> None:
        """Refuse a key that has more audits than one may have.

        Raises:
            OverloadedError: it has.
        """
        if self._store.count(key_id, State.QUEUED, State.RUNNING) >= MOST_WAITING:
            raise OverloadedError(f"{MOST_WAITING} audits wait or run already; wait for one", retry_after=WAIT_SECONDS)
        if self._store.count(key_id) >= MOST_KEPT:
            raise OverloadedError(
                f"{MOST_KEPT} audits are kept already; delete those that are not needed", retry_after=WAIT_SECONDS
            )

    def find(self, audit_id: str, key_id: str | None) -> Audit:
        """The audit of that id, if it is the key's; None stands for every key.

        Raises:
            NotFoundError: there is none that the key may see.
        """
        return self._workers.as_it_stands(self._store.find(audit_id, key_id))

    def of_key(self, key_id: str | None, *, offset: int, limit: int) -> list[Audit]:
        """A key's audits, the newest first; None stands for every key."""
        found = self._store.of_key(key_id, offset=offset, limit=limit)
        return [self._workers.as_it_stands(audit) for audit in found]

    def resume(self, audit_id: str, key_id: str | None) -> Audit:
        """Queue a failed audit again; what it has judged is kept.

        Raises:
            NotFoundError: there is none that the key may see.
            InputError: it has not failed, or would fail again.
        """
        audit = self.find(audit_id, key_id)
        self._workers.release(audit)
        if not self._store.resume(audit):
            raise InputError(f"the audit is {audit.state} and cannot be resumed; start another")
        self._workers.notify()
        return self.find(audit_id, key_id)

    def forget(self, audit_id: str, key_id: str | None) -> None:
        """End an audit, if it runs, and keep nothing of it.

        Raises:
            NotFoundError: there is none that the key may see.
        """
        audit = self._store.find(audit_id, key_id)
        self._store.cancel(audit)
        self._workers.forget(audit)

    def _new(self, kind: Kind, source: str, bundle: str | None, rate: float | None, key_id: str) -> Audit:
        served = self._bundles.get(bundle) if bundle is not None else next(iter(self._bundles.values()))
        if served is None:
            raise NotFoundError(f"there is no bundle {bundle!r}; served are {', '.join(self._bundles)}")
        chosen = served.detector.false_positive_rate if rate is None else rate
        served.detector.supports(chosen)
        return Audit(
            kind=kind,
            source=source,
            bundle=served.name,
            bundle_digest=served.digest,
            false_positive_rate=chosen,
            key_id=key_id,
        )

    def _run(self, audit: Audit, stop: threading.Event) -> None:
        AuditRun(audit, self._workshop, stop).run()
