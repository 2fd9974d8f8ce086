"""The threads that work off audits: one of each key at a time, so that no key waits for another's million files."""

import dataclasses
import logging
import threading
from collections.abc import Callable

from service.audits.background import EngineStoppedError
from service.audits.database import StateError
from service.audits.file_store import AuditCancelledError, FileStore
from service.audits.places import Places
from service.audits.run import AuditStoppedError
from service.audits.store import Audit, AuditStore, Kind, State
from service.errors import InputError, RequestError

AT_ONCE = 4
"""Audits that run at the same time, of as many keys."""

RETRY_SECONDS = 5.0
"""Between two looks at a state folder that could not be read."""

STOPPED = (AuditStoppedError, AuditCancelledError, EngineStoppedError)

logger = logging.getLogger(__name__)


class Workers:
    """Takes queued audits, oldest first, and sees to how each ends.

    Args:
        run: works on an audit until it is done, and raises where it cannot be.
    """

    def __init__(
        self, store: AuditStore, files: FileStore, places: Places, run: Callable[[Audit, threading.Event], None]
    ) -> None:
        self._store, self._files, self._places, self._run = store, files, places, run
        self._changed = threading.Condition()
        self._running: dict[str, tuple[str, threading.Event]] = {}
        self._unsaid: dict[str, str] = {}
        self._is_closing = False
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Sweep up after the last server and go on with what it left.

        Raises:
            InputError: the state folder cannot be written.
        """
        for audit in self._store.in_state(State.CANCELLED):
            self._take_out(audit)
        self._store.requeue_interrupted()
        failed = [audit for audit in self._store.in_state(State.FAILED) if audit.can_resume]
        self._places.prepare({audit.id for audit in [*self._store.in_state(State.QUEUED), *failed]})
        self._threads = [threading.Thread(target=self._work, name=f"audits-{number}") for number in range(AT_ONCE)]
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """Stop the threads, and what they do where it stands."""
        with self._changed:
            self._is_closing = True
            for _, stop in self._running.values():
                stop.set()
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def notify(self) -> None:
        """Something was queued."""
        with self._changed:
            self._changed.notify_all()

    def forget(self, audit: Audit) -> None:
        """Take a cancelled audit out: now, or as soon as the thread that is at it notices."""
        with self._changed:
            if audit.id in self._running:
                self._running[audit.id][1].set()
                return
        self._take_out(audit)

    def as_it_stands(self, audit: Audit) -> Audit:
        """An audit as it was read, but failed where that could not be written."""
        reason = self._unsaid.get(audit.id)
        if reason is None or audit.state is not State.RUNNING:
            return audit
        return dataclasses.replace(audit, state=State.FAILED, error=reason, can_resume=True)

    def release(self, audit: Audit) -> None:
        """Write that an audit has failed, if that is still to be done."""
        reason = self._unsaid.get(audit.id)
        if reason is not None:
            self._store.fail(audit, reason, can_resume=True)
            self._unsaid.pop(audit.id, None)

    def _work(self) -> None:
        while (taken := self._next()) is not None:
            audit, stop = taken
            try:
                try:
                    self._see_to(audit, stop)
                finally:
                    with self._changed:
                        del self._running[audit.id]
                        self._changed.notify_all()
                # Only now, when whoever deletes it takes it out himself: before, that might fall between two stools.
                self._take_out_if_cancelled(audit)
            except Exception:
                logger.exception("the audit %s was left as it stands", audit.id)

    def _next(self) -> tuple[Audit, threading.Event] | None:
        """Wait for an audit to work on; None when it is time to go."""
        with self._changed:
            while not self._is_closing:
                patience = None
                try:
                    audit = self._store.take({key_id for key_id, _ in self._running.values()})
                except StateError:
                    logger.exception("audits cannot go on")
                    audit, patience = None, RETRY_SECONDS
                if audit is not None:
                    stop = threading.Event()
                    self._running[audit.id] = (audit.key_id, stop)
                    return audit, stop
                self._changed.wait(patience)
        return None

    def _see_to(self, audit: Audit, stop: threading.Event) -> None:
        try:
            self._run(audit, stop)
            self._store.finish(audit)
            self._places.remove(audit)
        except STOPPED:
            # Where the server stops, the audit stays as it is, and the next server goes on with it.
            pass
        except InputError as error:
            # A folder may be there again; an archive stays what it is.
            self._fail(audit, str(error), can_resume=audit.kind is Kind.FOLDER)
        except OSError as error:
            self._fail(audit, f"the disk failed ({error.strerror or error})", can_resume=True)
        except RequestError as error:
            self._fail(audit, str(error), can_resume=True)
        except Exception:
            logger.exception("the audit %s failed through a mistake of ours", audit.id)
            self._fail(audit, "the server made a mistake; its log has it under the audit's id", can_resume=True)

    def _take_out_if_cancelled(self, audit: Audit) -> None:
        if any(audit.id == left.id for left in self._store.in_state(State.CANCELLED)):
            self._take_out(audit)

    def _fail(self, audit: Audit, reason: str, *, can_resume: bool) -> None:
        logger.warning("the audit %s failed: %s", audit.id, reason)
        try:
            self._store.fail(audit, reason, can_resume=can_resume)
        except StateError:
            # The disk that failed may be the one that would have to note it; the next server goes on by itself.
            self._unsaid[audit.id] = reason
            raise
        if not can_resume:
            self._places.remove(audit)

    def _take_out(self, audit: Audit) -> None:
        self._places.remove(audit)
        self._files.clear(audit)
        self._store.forget(audit)
