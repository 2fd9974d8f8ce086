"""The mark that a shard is done: written last, and believed only as far as the files are what it says."""

import hashlib
import json
import logging
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict, ValidationError

from detector.verdict import Decision
from service.offline.folder.durable import write_durably
from service.offline.folder.names import DONE_FOLDER, MARK, RESULTS_FOLDER, TIMINGS_FOLDER, shard_file

logger = logging.getLogger(__name__)


class DoneMark(BaseModel):
    """What is written down about a shard that is done.

    Attributes:
        results_sha256, results_size: of the file of its results.
        listing_sha256: of the file of its listing.
        n_images: its rows.
        n_flagged: adversarial and undecided ones.
        n_undecided: undecided ones.
        n_errors: those that could not be read, which are not among the others.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    results_sha256: str
    results_size: int
    listing_sha256: str
    n_images: int
    n_flagged: int
    n_undecided: int
    n_errors: int


def mark_file(folder: Path, number: int) -> Path:
    """The mark of a shard."""
    return folder / DONE_FOLDER / shard_file(number, MARK)


def mark_of(results: Any, content: bytes, listing_sha256: str) -> DoneMark:
    """The mark of a shard with these results, whose file has this content."""
    return DoneMark(
        results_sha256=hashlib.sha256(content).hexdigest(),
        results_size=len(content),
        listing_sha256=listing_sha256,
        **counts_of(results),
    )


def counts_of(results: Any) -> dict[str, int]:
    """The counts of a mark, from the rows themselves."""
    is_judged = pc.is_valid(results["outcome"])
    decisions = results["decision"].filter(is_judged)
    n_undecided = _number_of(decisions, Decision.UNDECIDED)
    return {
        "n_images": len(results),
        "n_flagged": _number_of(decisions, Decision.ADVERSARIAL) + n_undecided,
        "n_undecided": n_undecided,
        "n_errors": len(results) - len(decisions),
    }


def write_mark(folder: Path, number: int, mark: DoneMark) -> None:
    """Write the mark of a shard whose files are there.

    Raises:
        OSError: it cannot be written.
    """
    write_durably(mark_file(folder, number), (json.dumps(mark.model_dump(), indent=2) + "\n").encode())


def done_mark(folder: Path, number: int, listing_sha256: str) -> DoneMark | None:
    """The mark of a shard; None where it is not done.

    What a mark does not fit is said, and taken away, so that nobody reads it until it is made again.
    """
    mark, problems = examined_mark(folder, number, listing_sha256)
    if mark is None and not problems:
        return None
    if not problems:
        return mark
    for file in (mark_file(folder, number), *_files(folder, number)):
        file.unlink(missing_ok=True)
    logger.warning("%s; its images are judged again", "; ".join(problems))
    return None


def examined_mark(folder: Path, number: int, listing_sha256: str) -> tuple[DoneMark | None, list[str]]:
    """The mark of a shard, None where there is none that can be read, and what does not fit it."""
    path = mark_file(folder, number)
    try:
        mark = DoneMark.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None, []
    except (ValidationError, IsADirectoryError):
        return None, [f"{_short(path)} is damaged"]
    results, timings = _files(folder, number)
    problems = [
        _results_problem(results, mark),
        _timings_problem(timings, mark),
        None if mark.listing_sha256 == listing_sha256 else f"{_short(path)} is of another listing of shard {number}",
    ]
    return mark, [problem for problem in problems if problem is not None]


def _files(folder: Path, number: int) -> tuple[Path, Path]:
    return folder / RESULTS_FOLDER / shard_file(number), folder / TIMINGS_FOLDER / shard_file(number)


def _results_problem(path: Path, mark: DoneMark) -> str | None:
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        return f"{_short(path)} is missing"
    return None if digest == mark.results_sha256 else f"{_short(path)} is damaged"


def _timings_problem(path: Path, mark: DoneMark) -> str | None:
    try:
        n_rows = pq.read_metadata(path).num_rows
    except FileNotFoundError:
        return f"{_short(path)} is missing"
    except (pa.ArrowException, OSError):
        return f"{_short(path)} is damaged"
    return None if n_rows == mark.n_images else f"{_short(path)} has {n_rows} rows instead of {mark.n_images}"


def _short(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"


def _number_of(decisions: Any, decision: Decision) -> int:
    return int(pc.sum(pc.equal(decisions, decision.value)).as_py() or 0)
