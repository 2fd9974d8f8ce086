"""One audit from its first file to its last, in a thread of its own.

Files are read and decoded here, a chunk ahead of the device. What happens to an audit is in the store before the next
thing happens, so that a run may end at any point and another one go on.
"""

import collections
import contextlib
import dataclasses
import os
import shutil
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from torch import Tensor

from service.audits.archives import unpack
from service.audits.background import BackgroundJudge, Chunk
from service.audits.file_store import AuditFile, FileStore
from service.audits.folder_listing import FolderListing
from service.audits.members import ArchiveLimits
from service.audits.places import Places
from service.audits.sources import allowed_folder, read_file
from service.audits.store import Audit, Kind
from service.engine.work import Answer, Pending
from service.errors import EngineError, InputError, RequestError
from service.images import DecodingLimits, decode
from service.runtime import ServedBundle
from service.settings import ServeSettings

UNDER_WAY = 2
"""Chunks: one that is computed, and one that waits until it is."""

MOST_IMAGES = 256
"""Of a chunk, however many a step takes."""


class AuditStoppedError(Exception):
    """Nobody wants the audit any more, or the server stops."""


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Workshop:
    """What all audits share.

    Attributes:
        decoding: held while a chunk is decoded, so that audits take one core from the requests and not more.
    """

    settings: ServeSettings
    bundles: Mapping[str, ServedBundle]
    judge: BackgroundJudge
    files: FileStore
    places: Places
    decoding: threading.Lock = dataclasses.field(default_factory=threading.Lock)


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class _Begun:
    files: Sequence[AuditFile]
    chunk: Chunk
    pending: Pending[Answer] | None


class AuditRun:
    """Goes on with an audit where it stands."""

    def __init__(self, audit: Audit, workshop: Workshop, stop: threading.Event) -> None:
        self._audit = audit
        self._workshop = workshop
        self._stop = stop
        self._bundle = _same_bundle(audit, workshop.bundles)
        self._clock = time.monotonic()

    def run(self) -> None:
        """List the files, where that has not been done, and judge those that have no record.

        Raises:
            AuditStoppedError, AuditCancelledError, EngineStoppedError: it was stopped; all that is judged is kept.
            InputError: its files cannot be had.
            RequestError: the engine or the state folder failed.
            OSError: the disk failed.
        """
        self._check()
        if self._audit.kind is Kind.ARCHIVE:
            folder = self._workshop.places.unpacked(self._audit)
            roots = [folder]
            if self._audit.n_files is None:
                self._unpack(folder)
        else:
            roots = list(self._workshop.settings.audit_folders)
            folder = allowed_folder(self._audit.source, roots)
            if self._audit.n_files is None:
                listing = FolderListing(folder, roots, self._check)
                self._workshop.files.add(self._audit, listing, lambda: listing.n_skipped, self._check)
        self._judge_all(folder, roots)

    def _check(self, seconds: float = 0.0) -> None:
        if self._stop.wait(seconds):
            raise AuditStoppedError

    def _unpack(self, folder: Path) -> None:
        settings, archive = self._workshop.settings, self._workshop.places.archive(self._audit)
        # Another run may have been ended in the middle of it.
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        limits = ArchiveLimits(
            n_files=settings.archive_files, n_bytes=settings.unpacked_bytes, file_bytes=settings.image_bytes
        )
        unpacked = unpack(archive, folder, limits, self._check)
        self._workshop.files.add(self._audit, unpacked.files, lambda: unpacked.n_skipped, self._check)
        archive.unlink()

    def _judge_all(self, folder: Path, roots: Sequence[Path]) -> None:
        n_images = max(1, min(self._bundle.detector.images_per_step, MOST_IMAGES))
        last = -1
        begun: collections.deque[_Begun] = collections.deque()
        with contextlib.ExitStack() as leaving:
            leaving.callback(_cancel_all, begun)
            while True:
                self._check()
                files = self._workshop.files.unjudged(self._audit, after=last, limit=n_images)
                if files:
                    last = files[-1].position
                    begun.append(self._begin(files, folder, roots))
                if not begun:
                    return
                if len(begun) == UNDER_WAY or not files:
                    self._finish(begun[0])
                    begun.popleft()

    def _begin(self, files: Sequence[AuditFile], folder: Path, roots: Sequence[Path]) -> _Begun:
        with self._workshop.decoding:
            images = [self._decoded(file, folder, roots) for file in files]
        chunk = Chunk(
            bundle=self._bundle,
            request_id=f"audit-{self._audit.id}",
            key_id=self._audit.key_id,
            source="audit",
            false_positive_rate=self._audit.false_positive_rate,
            positions=[file.position for file in files],
            names=[file.name for file in files],
            images=images,
        )
        pending = None
        with contextlib.suppress(RequestError):
            # What the engine does not take now, it is asked again when the chunk's turn has come.
            pending = self._workshop.judge.begin(chunk)
        return _Begun(files=files, chunk=chunk, pending=pending)

    def _decoded(self, file: AuditFile, folder: Path, roots: Sequence[Path]) -> Tensor | str:
        self._check()
        settings = self._workshop.settings
        limits = DecodingLimits(n_bytes=settings.image_bytes, n_pixels=settings.image_pixels)
        placed = dataclasses.replace(file, place=os.path.join(os.fsencode(folder), file.place))  # noqa: PTH118
        try:
            return decode(read_file(placed, roots, settings.image_bytes), self._bundle.preprocessing, limits)
        except InputError as error:
            return str(error)

    def _finish(self, begun: _Begun) -> None:
        records, _ = self._workshop.judge.finish(begun.chunk, begun.pending, self._check)
        now = time.monotonic()
        numbered = [(file.position, record) for file, record in zip(begun.files, records, strict=True)]
        self._workshop.files.judged(self._audit, numbered, now - self._clock)
        self._clock = now


def _same_bundle(audit: Audit, bundles: Mapping[str, ServedBundle]) -> ServedBundle:
    bundle = bundles.get(audit.bundle)
    if bundle is None or bundle.digest != audit.bundle_digest:
        raise EngineError(
            f"the bundle {audit.bundle!r} is not served as it was when the audit began; serve it again and resume, "
            "or start another audit"
        )
    return bundle


def _cancel_all(begun: collections.deque[_Begun]) -> None:
    for work in begun:
        if work.pending is not None:
            work.pending.cancel()
