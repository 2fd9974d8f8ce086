"""An audit whose progress goes into a file, or to a program: plain lines on stderr, or JSON lines on stdout."""

import threading
from typing import Any

from service.console import messages, write_json
from service.offline.progress.meter import Reading
from service.offline.progress.view import in_words
from service.offline.work import JudgedShard


class PlainLines:
    """A line every half minute; see `service.offline.progress.view.AuditView`."""

    seconds_between = 30.0

    def __init__(self) -> None:
        self._stage = ""

    def show(self, reading: Reading) -> None:
        """Write one line, once there is anything to say."""
        if reading.n_listed:
            messages.print(f"judging images: {in_words(reading)}", markup=False)

    def shard(self, shard: JudgedShard) -> None:
        """Too often for a line."""

    def stage(self, stage: str, done: int, total: int) -> None:  # noqa: ARG002
        """Write one line a stage."""
        if stage != self._stage:
            messages.print(stage, markup=False)
        self._stage = stage


class JsonLines:
    """One JSON object a line, each with its `event`; see `service.offline.progress.view.AuditView`."""

    seconds_between = 1.0

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def show(self, reading: Reading) -> None:
        """Write an event `progress`."""
        self._write(
            "progress",
            images_done=reading.n_done,
            images_listed=reading.n_listed,
            is_listed=reading.is_listed,
            flagged=reading.n_flagged,
            errors=reading.n_errors,
            shards_done=reading.n_shards,
            images_per_second=reading.images_per_second,
            seconds_left=reading.seconds_left,
        )

    def shard(self, shard: JudgedShard) -> None:
        """Write an event `shard`."""
        self._write("shard", shard=shard.number, images=shard.results.num_rows)

    def stage(self, stage: str, done: int, total: int) -> None:
        """Write an event `stage`."""
        self._write("stage", stage=stage, done=done, total=total)

    def _write(self, event: str, **fields: Any) -> None:
        with self._lock:
            write_json({"event": event, **fields})
