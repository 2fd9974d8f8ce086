"""Whether the folder of an audit is whole: everything there that was listed, and every file as it was written."""

import contextlib
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from detector.types import ProgressCallback, no_progress
from service.errors import InputError
from service.offline.folder.contract import read_contract
from service.offline.folder.done_marks import DoneMark, counts_of, examined_mark
from service.offline.folder.durable import parquet_table
from service.offline.folder.listing import Listing, ListingRecord
from service.offline.folder.names import (
    DISCOVERIES_FILE,
    DONE_FOLDER,
    LISTING_FILE,
    LISTING_FOLDER,
    MARK,
    REPORT_FILE,
    RESULTS_FOLDER,
    ROWS,
    SUMMARY_FILE,
    TIMINGS_FOLDER,
    shard_file,
    shard_number,
)
from service.offline.folder.shards import shard_sizes

SUFFIXES = {LISTING_FOLDER: ROWS, RESULTS_FOLDER: ROWS, TIMINGS_FOLDER: ROWS, DONE_FOLDER: MARK}

MADE_AT_THE_END = (SUMMARY_FILE, DISCOVERIES_FILE, REPORT_FILE)

MOST_PROBLEMS = 1000

GO_ON = "the command that made the audit goes on with it"


def verify(path: Path, progress: ProgressCallback = no_progress) -> list[str]:
    """Read all that an audit wrote, in memory that does not grow with it.

    Returns:
        What is wrong, a sentence each; nothing where the audit is whole.

    Raises:
        InputError: the folder holds no audit, or what it is of cannot be read.
        OSError: the disk failed.
    """
    contract = read_contract(path)
    problems = _Problems()
    try:
        record = Listing(path).record()
    except InputError as error:
        return [str(error)]
    if record is None:
        return [f"{LISTING_FILE} is missing: the audit was not finished; {GO_ON}"]
    totals = dict.fromkeys(("n_images", "n_flagged", "n_undecided", "n_errors"), 0)
    digests = hashlib.sha256()
    for number, size in zip(range(record.n_shards), shard_sizes(contract.shard_size), strict=False):
        mark = _check_shard(path, number, size, record, digests, problems)
        for name in totals if mark is not None else ():
            totals[name] += getattr(mark, name)
        progress("verifying shards", number + 1, record.n_shards)
    if digests.hexdigest() != record.sha256:
        problems.add(f"{LISTING_FOLDER}/ is not what {LISTING_FILE} was written for")
    if not problems and totals["n_images"] != record.n_items:
        problems.add(f"the shards have {totals['n_images']} images, and {record.n_items} were listed")
    for folder, suffix in SUFFIXES.items():
        _check_names(path / folder, suffix, record.n_shards, problems)
    _check_end(path, totals, problems)
    return problems.told()


class _Problems:
    """What is wrong; so many of them are told as a person may read."""

    def __init__(self) -> None:
        self._told: list[str] = []
        self._n_more = 0

    def __bool__(self) -> bool:
        return bool(self._told)

    def add(self, *problems: str) -> None:
        for problem in problems:
            if len(self._told) < MOST_PROBLEMS:
                self._told.append(problem)
            else:
                self._n_more += 1

    def told(self) -> list[str]:
        return [*self._told, f"and {self._n_more} more"] if self._n_more else self._told


def _check_shard(
    path: Path, number: int, size: int, record: ListingRecord, digests: Any, problems: _Problems
) -> DoneMark | None:
    listing = _read(path / LISTING_FOLDER / shard_file(number))
    if listing is None:
        problems.add(f"{LISTING_FOLDER}/{shard_file(number)} is missing")
        return None
    digest = hashlib.sha256(listing).hexdigest()
    digests.update(digest.encode())
    mark, found = examined_mark(path, number, digest)
    problems.add(*found)
    if mark is None:
        if not found:
            problems.add(f"shard {number} was not judged; {GO_ON}")
        return None
    if not found:
        problems.add(*_content_problems(path, number, size, number == record.n_shards - 1, listing, mark))
    return mark


def _content_problems(path: Path, number: int, size: int, is_last: bool, listing: bytes, mark: DoneMark) -> list[str]:
    """What rows say that digests do not."""
    name = shard_file(number)
    items, results = parquet_table(listing), parquet_table((path / RESULTS_FOLDER / name).read_bytes())
    if items is None:
        return [f"{LISTING_FOLDER}/{name} is damaged"]
    if results is None:
        return [f"{RESULTS_FOLDER}/{name} is damaged"]
    problems = []
    if len(items) != size and not (is_last and len(items) < size):
        problems.append(f"{LISTING_FOLDER}/{name} has {len(items)} rows instead of {size}")
    if not items["path"].equals(results["path"]):
        problems.append(f"{RESULTS_FOLDER}/{name} has other images than were listed")
    if counts_of(results) != mark.model_dump(include=set(counts_of(results))):
        problems.append(f"{DONE_FOLDER}/{shard_file(number, MARK)} counts otherwise than the results")
    return problems


def _check_names(folder: Path, suffix: str, n_shards: int, problems: _Problems) -> None:
    """What lies in a folder and belongs to no shard."""
    for name in _names(folder):
        number = shard_number(name, suffix)
        if number is None or number >= n_shards:
            problems.add(f"{folder.name}/{name} belongs to no shard")


def _names(folder: Path) -> Iterator[str]:
    with contextlib.suppress(FileNotFoundError):
        for entry in folder.iterdir():
            yield entry.name


def _check_end(path: Path, totals: dict[str, int], problems: _Problems) -> None:
    missing = [name for name in MADE_AT_THE_END if not (path / name).is_file()]
    problems.add(*(f"{name} is missing; {GO_ON}" for name in missing))
    if SUMMARY_FILE in missing:
        return
    try:
        counts = json.loads((path / SUMMARY_FILE).read_bytes())["counts"]
        summary = {
            "n_images": counts["n_images"],
            "n_flagged": counts["n_adversarial"] + counts["n_undecided"],
            "n_undecided": counts["n_undecided"],
            "n_errors": counts["n_unreadable"],
        }
    except (ValueError, KeyError, TypeError):
        problems.add(f"{SUMMARY_FILE} is damaged; {GO_ON}")
        return
    if summary != totals:
        problems.add(f"{SUMMARY_FILE} counts {summary}, and the shards {totals}")


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
