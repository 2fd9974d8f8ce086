"""Audits without a detector: a source that is a list of names, and verdicts that follow from a name."""

import contextlib
import hashlib
import http.server
import io
import tarfile
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from service.offline.folder.audit_folder import AuditFolder
from service.offline.folder.contract import Contract, columns_record
from service.offline.folder.standing import Standing
from service.offline.items import Item
from service.offline.schema import TIMINGS, results_table
from service.offline.work import JudgedShard, Shard
from service.records import Record, error_record

SHARD_SIZE = 32
"""Sixty images lie in shards of 16, 32 and 12."""

NAMES = tuple(f"{number:03d}.png" for number in range(60))


class ListedSource:
    """A source of files that nobody looks at.

    Attributes:
        stamps: of files that were written again, by path.
        n_passes: how often it was listed.
    """

    def __init__(self, paths: Sequence[str] = NAMES, columns: Any = None) -> None:
        self.paths = list(paths)
        self.columns = pa.schema([]) if columns is None else columns
        self.skipped = {".txt": 2}
        self.stamps: dict[str, str] = {}
        self.description = {"kind": "folder", "location": "/pictures"}
        self.n_passes = 0

    def items(self, check: Callable[[], None]) -> Iterator[Item]:
        self.n_passes += 1
        for number, path in enumerate(self.paths):
            check()
            yield Item(
                path=path,
                container=f"/pictures/{path}",
                size=100 + number,
                stamp=self.stamps.get(path, "1"),
                given_label=None if number % 3 else "cat",
                columns=tuple(f"{field.name} of {path}" for field in self.columns),
            )


def contract_for(source: ListedSource, **changes: Any) -> Contract:
    return Contract(
        **{
            "bundle": "small",
            "bundle_digest": "b" * 64,
            "classifier": "digits",
            "classifier_digest": "c" * 64,
            "preprocessing": {"height": 8, "width": 8},
            "labels": ("cat", "dog"),
            "false_positive_rate": 0.05,
            "n_calibration": 99,
            "runtime": "torch",
            "chunk_images": 16,
            "source": source.description,
            "columns": columns_record(source.columns),
            "shard_size": SHARD_SIZE,
            "device": "cpu",
            "isthmus_version": "0.1.0",
            "torch_version": "2.13.0",
            "n_threads": 1,
            **changes,
        }
    )


def record_of(path: str) -> Record:
    """One image of eight is adversarial, one undecided, one cannot be read; the others are clean."""
    byte = hashlib.sha256(path.encode(errors="surrogateescape")).digest()[0] % 8
    if byte == 2:
        return error_record(path, "no image")
    decision = {0: "adversarial", 1: "undecided"}.get(byte, "clean")
    record = {**error_record(path, ""), "decision": decision, "outcome": "decided", "error": None}
    return {**record, "label": 0, "label_name": "cat", "score": byte / 8, "profile": [0.0, 0.5, 1.0]}


def judged(shard: Shard, columns: Any) -> JudgedShard:
    timings = pa.Table.from_pylist([{"read_seconds": 0.1, "inspect_seconds": 0.2}] * len(shard.items), schema=TIMINGS)
    records = [record_of(item.path) for item in shard.items]
    digests = [None if record["outcome"] is None else "d" for record in records]
    results = results_table(shard.items, records, digests, columns)
    return JudgedShard(number=shard.number, results=results, timings=timings)


class Auditing:
    """Audits a source into one folder, as often as it is asked to.

    Attributes:
        numbers: of the shards that were judged in the last run.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.numbers: list[int] = []

    def run(self, source: ListedSource, *, n_shards: int | None = None, **changes: Any) -> Standing:
        """Judge what is not done, some shards at most."""
        folder = AuditFolder(self.path)
        self.numbers = []
        contract = contract_for(source, **changes)
        with folder.locked():
            folder.begin(contract)
            with contextlib.closing(folder.shards(source, contract.shard_size, lambda: None)) as shards:
                for shard in shards:
                    folder.write(judged(shard, source.columns))
                    self.numbers.append(shard.number)
                    if len(self.numbers) == n_shards:
                        break
        return folder.progress

    def tree(self) -> dict[str, bytes]:
        """Everything that was written but the timings."""
        files = (path for path in self.path.rglob("*") if path.is_file() and path.parent.name != "timings")
        return {str(path.relative_to(self.path)): path.read_bytes() for path in files}


@pytest.fixture
def listed_source() -> Callable[..., ListedSource]:
    return ListedSource


@pytest.fixture
def source() -> ListedSource:
    return ListedSource()


@pytest.fixture
def contract_of() -> Callable[..., Contract]:
    return contract_for


@pytest.fixture
def auditing(tmp_path: Path) -> Auditing:
    return Auditing(tmp_path / "audit")


@pytest.fixture
def undisturbed(tmp_path: Path) -> dict[str, bytes]:
    """What an audit of the sixty images writes if nothing happens to it."""
    calm = Auditing(tmp_path / "undisturbed")
    calm.run(ListedSource())
    return calm.tree()


class Web:
    """A web server of this machine.

    Attributes:
        files: what it has, by path.
        statuses: what it answers first for a path, one for each request.
        gives_parts: whether it knows of ranges.
        requests: paths and ranges that it was asked for.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.files: dict[str, bytes] = {}
        self.statuses: dict[str, list[int]] = {}
        self.gives_parts = True
        self.requests: list[tuple[str, str | None]] = []

    def answer(self, path: str, wanted: str | None) -> tuple[int, dict[str, str], bytes]:
        self.requests.append((path, wanted))
        if self.statuses.get(path):
            return self.statuses[path].pop(0), {}, b""
        if path not in self.files:
            return 404, {}, b""
        data = self.files[path]
        headers = {"ETag": f'"{hashlib.sha256(data).hexdigest()[:8]}"'}
        if wanted is None or not self.gives_parts:
            return 200, headers, data
        first, last = (int(end) for end in wanted.removeprefix("bytes=").split("-"))
        return 206, {**headers, "Content-Range": f"bytes {first}-{last}/{len(data)}"}, data[first : last + 1]


@pytest.fixture
def web() -> Iterator[Web]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, headers, data = server_of.answer(self.path, self.headers.get("Range"))
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(data))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server_of = Web(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield server_of
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def tar_of() -> Callable[..., bytes]:
    """An archive of members, given as names and bytes."""

    def packed(members: Sequence[tuple[str, bytes]], compression: str = "") -> bytes:
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode=f"w:{compression}") as archive:
            for name, data in members:
                info = tarfile.TarInfo(name)
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
        return buffer.getvalue()

    return packed
