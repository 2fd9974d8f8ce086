"""What a study finds: numbers, plots, and one sentence for each claim of the papers, agreeing or not."""

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from detector.evaluation.tables import Table
from detector.types import ProgressCallback


@dataclasses.dataclass(frozen=True, kw_only=True)
class Finding:
    """One claim, and what these data say about it.

    Attributes:
        claim: what was published, with its source.
        measured: the sentence with the numbers.
        agrees: None where the data cannot tell.
    """

    claim: str
    measured: str
    agrees: bool | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plot:
    """One drawing; `svg` is an `<svg>` element in the page's colours (`detector.evaluation.svg.inline_svg`)."""

    title: str
    svg: str
    note: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class StudyReport:
    """What a study hands over to be shown.

    Attributes:
        lead: what was done, in two or three sentences.
        facts: (name, value) pairs: classifier, images, seed, cost.
        data: every number behind plots and sentences, ready for JSON.
    """

    name: str
    title: str
    lead: str
    facts: tuple[tuple[str, str], ...]
    findings: tuple[Finding, ...]
    plots: tuple[Plot, ...]
    tables: tuple[Table, ...]
    data: Mapping[str, Any]


@dataclasses.dataclass(frozen=True, kw_only=True)
class StudyRequest:
    """What a user asks for.

    Attributes:
        train, held_out: sources of image sets of the classifier that the study is about; None where it has its own.
        classifier: a registered name or SPEC.toml; None for the study's own choice.
        limit: how many pairs, images or networks, in the study's own unit; None for its own choice.
    """

    out: Path
    train: str | None = None
    held_out: str | None = None
    classifier: str | None = None
    limit: int | None = None
    seed: int = 0
    device: str | None = None


Study = Callable[[StudyRequest, ProgressCallback], StudyReport]
"""Runs one study. Each lives in a module of its own beside this one, as `run`."""
