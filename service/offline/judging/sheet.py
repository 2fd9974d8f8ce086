"""The rows of a shard as they come in."""

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from detector.verdict import Decision, Verdict
from service.offline.judging.decoding import Decoded
from service.offline.schema import TIMINGS, results_table
from service.offline.work import JudgedShard, Shard, Tick
from service.records import Record, error_record, verdict_record


class Sheet:
    """Collects one row an item, in any order.

    Args:
        columns: the source's own columns, an Arrow schema.
        labels: the name of each label.
    """

    def __init__(self, shard: Shard, columns: Any, labels: Sequence[str]) -> None:
        self.items = shard.items
        self._number = shard.number
        self._columns = columns
        self._labels = labels
        self._records: list[Record | None] = [None] * len(shard.items)
        self._digests: list[str | None] = [None] * len(shard.items)
        self._read_seconds = [0.0] * len(shard.items)
        self._inspect_seconds = [0.0] * len(shard.items)
        self._since_tick: list[Record] = []

    def add_error(self, position: int, decoded: Decoded) -> None:
        """Write down an item that has no pixels."""
        self._add(position, decoded, error_record(self.items[position].path, decoded.error or "it cannot be read"))

    def add_verdict(self, position: int, decoded: Decoded, verdict: Verdict, inspect_seconds: float) -> None:
        """Write down an item's verdict and its share of the time on the device."""
        self._add(position, decoded, verdict_record(self.items[position].path, verdict, self._labels))
        self._inspect_seconds[position] = inspect_seconds

    def _add(self, position: int, decoded: Decoded, record: Record) -> None:
        self._records[position] = record
        self._digests[position] = decoded.digest
        self._read_seconds[position] = decoded.seconds
        self._since_tick.append(record)

    def tick(self) -> Tick:
        """What came in since the last call."""
        records, self._since_tick = self._since_tick, []
        n_errors = sum(record["outcome"] is None for record in records)
        n_clean = sum(record["decision"] == Decision.CLEAN for record in records)
        return Tick(
            shard=self._number,
            n_images=len(records),
            n_flagged=len(records) - n_clean - n_errors,
            n_errors=n_errors,
        )

    def judged(self) -> JudgedShard:
        """The whole shard.

        Raises:
            RuntimeError: a row is missing.
        """
        records = [record for record in self._records if record is not None]
        if len(records) < len(self.items):
            raise RuntimeError(f"{len(self.items) - len(records)} images of shard {self._number} were not judged")
        timings = pa.table(
            {"read_seconds": self._read_seconds, "inspect_seconds": self._inspect_seconds}, schema=TIMINGS
        )
        return JudgedShard(
            number=self._number,
            results=results_table(self.items, records, self._digests, self._columns),
            timings=timings,
        )
