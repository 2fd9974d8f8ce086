"""Audits written by hand: rows whose answers are known on paper, over images that are there."""

import dataclasses
import hashlib
import io
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from service.offline.folder.contract import Contract
from service.offline.items import Item
from service.offline.schema import listing_table, results_table
from service.records import FIELDS
from service.viewing.audit_files import AuditFiles
from service.viewing.index import ResultIndex
from service.viewing.queries import Queries

LABELS = ("cat", "dog")
COLUMNS = pa.schema([pa.field("uploaded_by", pa.string()), pa.field("seconds", pa.float64())])


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
    """One image, and what became of it; without a label it could not be read."""

    path: str
    kind: str = "clean"
    p_value: float | None = 0.5
    score: float = 0.0
    label: int | None = 0
    suspected: int | None = 1
    given: str | None = None
    seed: int = 0
    own: tuple[object, ...] = ("me", 1.5)

    @property
    def png(self) -> bytes:
        pixels = np.random.default_rng(self.seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "PNG")
        return buffer.getvalue()

    @property
    def record(self) -> dict[str, Any]:
        record = dict.fromkeys(FIELDS) | {"path": self.path, "decision": self.kind}
        if self.kind == "unreadable":
            return record | {"decision": "undecided", "error": "the file is empty; an image was expected"}
        assert self.label is not None
        return record | {
            "label": self.label,
            "label_name": LABELS[self.label],
            "score": self.score,
            "p_value": self.p_value,
            "false_positive_rate": 0.05,
            "barrier": 0.25,
            "prototype": 0,
            "suspected_label": self.suspected,
            "suspected_label_name": None if self.suspected is None else LABELS[self.suspected],
            "outcome": "converged",
            "profile": [0.0, 2.0, 1.0],
            "error": "there are no prototypes" if self.kind == "undecided" else None,
        }


class MadeAudit:
    """The folder of an audit, and that of its source beside it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "audit"
        self.source = folder / "source"
        for name in ("results", "listing", "done"):
            (self.folder / name).mkdir(parents=True)
        self.source.mkdir()
        self._n_files = 0
        contract = Contract(
            bundle="digits",
            bundle_digest="b" * 64,
            classifier="digits",
            classifier_digest="c" * 64,
            preprocessing={},
            labels=LABELS,
            false_positive_rate=0.05,
            n_calibration=99,
            runtime="torch",
            chunk_images=256,
            source={"kind": "folder", "location": "/data/uploads"},
            columns=(("uploaded_by", "string"), ("seconds", "double")),
            shard_size=1024,
            device="cpu",
            isthmus_version="0",
            torch_version="0",
            n_threads=1,
        )
        (self.folder / "audit.json").write_bytes(contract.as_bytes())

    def shard(self, number: int, *rows: Row, is_done: bool = True) -> None:
        """Write a shard, and a file for each of its images."""
        items = [self._item(row) for row in rows]
        digests = [hashlib.sha256(row.png).hexdigest()[:16] if row.kind != "unreadable" else None for row in rows]
        results = results_table(items, [row.record for row in rows], digests, COLUMNS)
        pq.write_table(results, self.folder / "results" / f"{number:08}.parquet")
        pq.write_table(listing_table(items, COLUMNS), self.folder / "listing" / f"{number:08}.parquet")
        if is_done:
            (self.folder / "done" / f"{number:08}.json").write_text("{}")

    def discoveries(self, *p_values: float) -> None:
        """Write the list that is made at the end."""
        table = pa.table({"path": [str(p) for p in p_values], "p_value": pa.array(p_values, pa.float64())})
        pq.write_table(table, self.folder / "discoveries.parquet")

    def file(self, number: int) -> Path:
        """The image of a row, counted in the order in which they were written."""
        return self.source / f"{number}.bin"

    def _item(self, row: Row) -> Item:
        file = self.file(self._n_files)
        self._n_files += 1
        file.write_bytes(row.png)
        status = file.stat()
        return Item(
            path=row.path,
            container=str(file.resolve()),
            size=status.st_size,
            stamp=str(status.st_mtime_ns),
            given_label=row.given,
            columns=row.own,
        )


@pytest.fixture
def made(tmp_path: Path) -> MadeAudit:
    return MadeAudit(tmp_path)


@pytest.fixture(scope="session")
def row() -> type[Row]:
    return Row


Asked = Callable[[Sequence[Row]], Queries]


@pytest.fixture
def asked(made: MadeAudit) -> Iterator[Asked]:
    """Queries of an audit of the given rows, cut into shards of three."""
    yield from opened(made)


@pytest.fixture(scope="module")
def asked_once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asked]:
    """The same for all tests of a file."""
    yield from opened(MadeAudit(tmp_path_factory.mktemp("audit")))


def opened(made: MadeAudit) -> Iterator[Asked]:
    indexes: list[ResultIndex] = []

    def ask(rows: Sequence[Row]) -> Queries:
        for number, start in enumerate(range(0, len(rows), 3)):
            made.shard(number, *rows[start : start + 3])
        index = ResultIndex(AuditFiles(made.folder))
        indexes.append(index)
        for _ in index.load():
            pass
        return Queries(index)

    yield ask
    for index in indexes:
        index.close()
