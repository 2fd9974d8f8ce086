"""The large fuzz run: `python tests/fuzz/long_run.py --cases 10000`.

Sends random requests to every operation of our OpenAPI document and of the official Open Inference Protocol, counts the
answers by operation and status, and ends with 1 if one of them was a mistake of ours or not what the document says.
"""

import argparse
import logging
import sys
import tempfile
from pathlib import Path

import torch
from fuzzing import (
    SCHEMA_CHECKS,
    STRICT_CHECKS,
    Tally,
    fuzz_nearly_right,
    fuzz_operation,
    official_operations,
    our_operations,
    served,
)
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

NEARLY_RIGHT_SHARE = 0.2
COLUMNS = (
    TextColumn("{task.description}"),
    BarColumn(),
    MofNCompleteColumn(),
    TimeElapsedColumn(),
    TimeRemainingColumn(),
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=10_000, help="Requests in all, at least.")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    logging.basicConfig(level=logging.ERROR)
    console = Console(width=140)
    with tempfile.TemporaryDirectory() as folder, served(Path(folder)) as url:
        tally = run(url, Path(folder), options.cases, options.seed, console)
    console.print(table_of(tally))
    for failure in tally.failures[:50]:
        console.print(f"FAILED {failure}", markup=False, highlight=False)
    console.print(f"{tally.n_cases} requests, {len(tally.failures)} failures")
    return 1 if tally.failures else 0


def run(url: str, folder: Path, n_cases: int, seed: int, console: Console) -> Tally:
    """Go through both documents until so many requests were sent; each round has another seed."""
    documents = ((our_operations(url, folder), STRICT_CHECKS), (official_operations(), SCHEMA_CHECKS))
    operations = [(operation, checks) for listed, checks in documents for operation in listed]
    each = max(2, round(n_cases * (1 - NEARLY_RIGHT_SHARE) / len(operations)))
    with Progress(*COLUMNS, console=console) as progress:
        task = progress.add_task("fuzzing", total=n_cases)
        tally = Tally(on_count=lambda: progress.advance(task))
        while tally.n_cases < n_cases:
            for operation, checks in operations:
                progress.update(task, description=operation.label)
                fuzz_operation(operation, url, each, tally, checks=checks, number=seed)
            fuzz_nearly_right(url, round(n_cases * NEARLY_RIGHT_SHARE), tally, number=seed)
            seed += 1
            each = 100
    return tally


def table_of(tally: Tally) -> Table:
    """Answers by operation and status."""
    statuses = sorted({status for counter in tally.counts.values() for status in counter})
    table = Table("operation", *map(str, statuses))
    for operation, counter in tally.counts.items():
        table.add_row(operation, *(str(counter[status] or "") for status in statuses))
    return table


if __name__ == "__main__":
    sys.exit(main())
