"""What was audited and with what, as a report says it: no path of the machine beyond the source's own name."""

from collections.abc import Mapping
from typing import Any

from service.offline.folder.contract import Contract
from service.offline.reading.urls import shown_name as without_secrets
from service.offline.report.words import NARROW, counted, joined, number, rate_text, shown_name
from service.offline.summary.summary_types import Summary

MOST_SUFFIXES = 4
"""Kinds of files that were passed over that a sentence names."""


def source_name(description: Mapping[str, Any]) -> str:
    """What a source is called: the last part of a local path, an address without what opens it."""
    location = description.get("location", "")
    places = [str(place) for place in location] if isinstance(location, list | tuple) else [str(location)]
    first = _place_name(places[0]) if places else ""
    more = f" and {number(len(places) - 1)} more" if len(places) > 1 else ""
    return shown_name(first or "the source") + more


def _place_name(place: str) -> str:
    if "://" in place:
        return without_secrets(place)
    return place.rstrip("/").rsplit("/", 1)[-1]


def facts_of(contract: Contract, summary: Summary) -> list[tuple[str, str]]:
    """(name, value) pairs of the head of a report."""
    discovery_rate = rate_text(summary.discoveries.false_discovery_rate)
    return [
        ("source", f"{source_name(contract.source)} ({shown_name(str(contract.source.get('kind', 'unknown kind')))})"),
        ("bundle", f"{shown_name(contract.bundle)} ({contract.bundle_digest[:12]})"),
        ("classifier", f"{shown_name(contract.classifier)} ({contract.classifier_digest[:12]})"),
        ("clean images compared with", number(contract.n_calibration)),
        ("false alarms asked for", rate_text(contract.false_positive_rate)),
        ("false discoveries allowed", discovery_rate),
    ]


def passed_over(skipped: Mapping[str, int]) -> str | None:
    """What was not audited because it is no image; None where there was nothing."""
    n_files = sum(skipped.values())
    if not n_files:
        return None
    ordered = sorted(skipped.items(), key=lambda pair: (-pair[1], pair[0]))
    kinds = [f"{number(n)}{NARROW}× {shown_name(suffix) or 'no suffix'}" for suffix, n in ordered[:MOST_SUFFIXES]]
    if len(ordered) > MOST_SUFFIXES:
        kinds.append(f"{number(sum(n for _, n in ordered[MOST_SUFFIXES:]))} others")
    were = "was" if n_files == 1 else "were"
    return f"{counted(n_files, 'file')} {were} passed over, no images by their names: {joined(kinds)}."
