"""A few hundred random requests; `long_run.py` sends ten thousand."""

from pathlib import Path
from typing import Any

import httpx

CASES = 2
"""An operation and document."""


def test_no_request_that_our_document_allows_or_forbids_is_a_mistake_of_ours(
    fuzzing: Any, url: str, served_folder: Path
) -> None:
    tally = fuzzing.Tally()
    for operation in fuzzing.our_operations(url, served_folder):
        fuzzing.fuzz_operation(operation, url, CASES, tally, checks=fuzzing.STRICT_CHECKS, number=0)
    assert not tally.failures, "\n".join(tally.failures)
    assert set(httpx.get(f"{url}/openapi.json", timeout=30).json()["paths"]) <= {
        label.split()[1] for label in tally.counts
    }


def test_no_request_of_the_official_protocol_is_a_mistake_of_ours(fuzzing: Any, url: str) -> None:
    tally = fuzzing.Tally()
    for operation in fuzzing.official_operations():
        fuzzing.fuzz_operation(operation, url, CASES, tally, checks=fuzzing.SCHEMA_CHECKS, number=0)
    assert not tally.failures, "\n".join(tally.failures)
    assert {200, 400, 404} <= {status for counter in tally.counts.values() for status in counter}


def test_nearly_right_requests_are_judged_or_refused(fuzzing: Any, url: str) -> None:
    tally = fuzzing.Tally()
    fuzzing.fuzz_nearly_right(url, 60, tally, number=0)
    assert not tally.failures, "\n".join(tally.failures)
    [counter] = tally.counts.values()
    assert {200, 400} <= set(counter)
    assert set(counter) <= {200, 400, 413, 504}
