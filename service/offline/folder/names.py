"""What stands in the folder of an audit, by name: nobody else spells these."""

import re
from typing import Final

CONTRACT_FILE: Final = "audit.json"
LISTING_FILE: Final = "listing.json"
SUMMARY_FILE: Final = "summary.json"
DISCOVERIES_FILE: Final = "discoveries.parquet"
REPORT_FILE: Final = "report.html"
RUN_FILE: Final = "run.json"

LISTING_FOLDER: Final = "listing"
RESULTS_FOLDER: Final = "results"
TIMINGS_FOLDER: Final = "timings"
DONE_FOLDER: Final = "done"

ROWS, MARK = ".parquet", ".json"
"""Endings of the files of a shard: of its rows, and of the mark that it is done."""

_NAME = re.compile(r"([0-9]{8,})(\.[a-z]+)")


def shard_file(number: int, suffix: str = ROWS) -> str:
    """The name of a shard's file, in each of the folders; names sort as numbers do."""
    return f"{number:08d}{suffix}"


def shard_number(name: str, suffix: str = ROWS) -> int | None:
    """The number of the shard that a file is of; None where it is of none."""
    match = _NAME.fullmatch(name)
    return int(match[1]) if match and match[2] == suffix else None
