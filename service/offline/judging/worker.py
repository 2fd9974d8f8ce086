"""Judges shards: reading, decoding and the device overlap. The same on one machine and on many."""

import functools
import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor

import torch
from torch import Tensor

from detector.types import DetectorError, ProgressCallback, no_progress, to_pixels
from detector.verdict import Verdict
from models.errors import ModelError
from service.bundles import OpenedDetector, digest_of, open_detector
from service.engine.step_failures import FailureKind, failure_of, release_device_memory
from service.errors import EngineError, InputError
from service.offline.items import Item
from service.offline.judging.decoding import Decoded, decode_read, decoded_items
from service.offline.judging.sheet import Sheet
from service.offline.reading.item_reader import ItemReader
from service.offline.work import JudgedShard, Shard, Tick, WorkerSettings

logger = logging.getLogger(__name__)


class WorkStoppedError(Exception):
    """The worker was closed; the shard is given up."""


class ShardWorker:
    """Judges shards with one detector; `judge` may be called from several threads at once.

    Then one shard is read and decoded while another is on the device, which has a thread of its own: it serves
    everybody in turn, and the pools of threads that torch keeps for each caller do not compete.
    """

    def __init__(self, opened: OpenedDetector, settings: WorkerSettings) -> None:
        self.detector = opened.detector
        self.preprocessing = opened.preprocessing
        self.labels = opened.labels
        self._settings = settings
        self._stopped = threading.Event()
        self._reader = ItemReader(allow_urls=settings.allow_urls, n_bytes=settings.limits.n_bytes)
        self._decoders = ThreadPoolExecutor(settings.n_readers, thread_name_prefix="decoding")
        self._device = ThreadPoolExecutor(1, thread_name_prefix="device")
        self._has_lacked_memory = False

    @classmethod
    def open(cls, settings: WorkerSettings, progress: ProgressCallback = no_progress) -> "ShardWorker":
        """Open the detector that is meant.

        Raises:
            InputError: the bundle is another one here, or see `service.bundles.open_detector`.
            DetectorError, ModelError: the detector cannot be had.
        """
        opened = open_detector(
            settings.bundle,
            false_positive_rate=settings.false_positive_rate,
            choice=settings.choice,
            progress=progress,
        )
        digest = digest_of(settings.bundle)
        if digest != settings.bundle_digest:
            raise InputError(
                f"the bundle {settings.bundle} has the digest {digest[:12]}… here and {settings.bundle_digest[:12]}… "
                "where the audit was begun; give every worker the same files"
            )
        return cls(opened, settings)

    def judge(self, shard: Shard, on_tick: Callable[[Tick], None]) -> JudgedShard:
        """Judge a shard's images, in chunks that depend on the shard and the settings alone.

        Raises:
            WorkStoppedError: the worker was closed meanwhile.
            EngineError: the device failed.
            OSError: the disk or the network failed.
        """
        sheet = Sheet(shard, self._settings.columns, self.labels)
        chunk: list[tuple[int, Decoded]] = []
        for position, decoded in enumerate(self._decoded(shard.items)):
            if decoded.pixels is None:
                sheet.add_error(position, decoded)
                continue
            chunk.append((position, decoded))
            if len(chunk) == self._settings.chunk_images:
                self._judge_chunk(sheet, chunk)
                chunk = []
                on_tick(sheet.tick())
        if chunk:
            self._judge_chunk(sheet, chunk)
        on_tick(sheet.tick())
        return sheet.judged()

    def close(self) -> None:
        """Give up what is under way, at the next step of the device, and let the threads go."""
        self._stopped.set()
        self._reader.close()
        self._device.shutdown(cancel_futures=True)
        self._decoders.shutdown(cancel_futures=True)

    def _decoded(self, items: Sequence[Item]) -> Iterator[Decoded]:
        settings = self._settings
        step = functools.partial(decode_read, preprocessing=self.preprocessing, limits=settings.limits)
        try:
            for decoded in decoded_items(items, self._reader.read, self._decoders, step, ahead=2 * settings.n_readers):
                self._check()
                yield decoded
        except (RuntimeError, CancelledError):
            # Neither a pool that was shut down nor a closed reader does any work.
            self._check()
            raise

    def _judge_chunk(self, sheet: Sheet, chunk: Sequence[tuple[int, Decoded]]) -> None:
        images = torch.stack([decoded.pixels for _, decoded in chunk if decoded.pixels is not None])
        try:
            verdicts, seconds = self._device.submit(self._timed, images).result()
        except (DetectorError, InputError, ModelError, WorkStoppedError):
            raise
        except Exception as error:
            self._check()
            paths = [sheet.items[position].path for position, _ in (chunk[0], chunk[-1])]
            raise EngineError(
                f"the images {paths[0]} to {paths[1]} could not be judged: {failure_of(error).text}"
            ) from error
        for (position, decoded), verdict in zip(chunk, verdicts, strict=True):
            sheet.add_verdict(position, decoded, verdict, seconds / len(chunk))

    def _timed(self, images: Tensor) -> tuple[list[Verdict], float]:
        begun = time.perf_counter()
        return self._inspected(images), time.perf_counter() - begun

    def _inspected(self, images: Tensor) -> list[Verdict]:
        """Judge images; where the device's memory does not suffice, one half after the other."""
        try:
            pixels = to_pixels(images, device=self.detector.classifier.device)
            return self.detector.inspect(pixels, progress=lambda *_: self._check())
        except Exception as error:
            if len(images) == 1 or failure_of(error).kind is not FailureKind.OUT_OF_MEMORY:
                raise
        # Only here, where the exception and what its frames hold are gone.
        self._tell_of_memory(len(images))
        release_device_memory()
        middle = len(images) // 2
        return [*self._inspected(images[:middle]), *self._inspected(images[middle:])]

    def _tell_of_memory(self, n_images: int) -> None:
        if not self._has_lacked_memory:
            logger.warning(
                "the device has no memory for %d images at once: they are judged in halves, whose scores may differ "
                "in the last digits from those of a device with more",
                n_images,
            )
        self._has_lacked_memory = True

    def _check(self) -> None:
        if self._stopped.is_set():
            raise WorkStoppedError
