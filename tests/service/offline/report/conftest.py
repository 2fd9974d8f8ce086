"""A small audit of digits, as a summary and as files, that the tests of the report share."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from detector.bundle import Bundle
from service.bundles import open_bundle
from service.images import pixel_digest
from service.offline.folder.contract import Contract
from service.offline.items import Item
from service.offline.report.pictures import ReportPictures, Strip
from service.offline.summary.parts import (
    Agreement,
    Cluster,
    Clusters,
    Confusion,
    DuplicateGroup,
    Duplicates,
    FolderCount,
    Group,
    Groups,
    LabelPair,
    Share,
    UnreadableReason,
)
from service.offline.summary.summary_types import (
    Bin,
    CleanComparison,
    Counts,
    Discoveries,
    FlaggedImage,
    Standing,
    Summary,
)


def share(n: int, of: int) -> Share:
    return Share(n=n, of=of, value=n / of, lower=n / of / 2, upper=min(1.0, 2 * n / of))


def group(name: str, n_flagged: int, n_images: int, q_value: float | None, n_agreeing: int | None = None) -> Group:
    return Group(
        name=name,
        n_images=n_images,
        n_unreadable=0,
        flagged=share(n_flagged, n_images),
        excess_p_value=q_value,
        excess_q_value=q_value,
        n_agreeing=n_agreeing,
    )


FLAGGED = FlaggedImage(
    rank=1,
    path="a/1.png",
    shard=0,
    row=0,
    digest="d" * 16,
    n_copies=1,
    decision="adversarial",
    p_value=0.001,
    q_value=0.02,
    is_discovery=True,
    score=7.25,
    barrier=0.5,
    label=3,
    label_name="three",
    given_label="eight",
    prototype=0,
    suspected_label=8,
    suspected_label_name="eight",
    profile=(0.1, 0.6, 0.2, 0.0),
    error=None,
)

CLUSTER = Cluster(
    number=1,
    n=12,
    pairs=(LabelPair(label_name="three", suspected_label_name="eight", n=9),),
    folders=(FolderCount(folder="a", n=10), FolderCount(folder=".", n=2)),
    median_score=4.0,
    median_barrier=None,
    profile=(0.1, 0.4, 0.2, 0.0),
    profile_lower=(0.0, 0.3, 0.1, 0.0),
    profile_upper=(0.2, 0.5, 0.3, 0.0),
    examples=("a/1.png", "a/gone.png"),
)

SUMMARY = Summary(
    n_calibration=199,
    false_positive_rate=0.05,
    counts=Counts(n_images=1010, n_clean=880, n_adversarial=119, n_undecided=1, n_unreadable=10),
    flagged=share(120, 1000),
    comparison=CleanComparison(
        adversarial=share(110, 990),
        false_positive_rate=0.05,
        lowest=0.02,
        highest=0.08,
        standing=Standing.ABOVE,
        probability=1e-9,
    ),
    histogram=tuple(Bin(lower=k / 20, upper=(k + 1) / 20, n=119 if k == 0 else 46, expected=49.95) for k in range(20)),
    discoveries=Discoveries(
        false_discovery_rate=0.1,
        n_tested=999,
        threshold=0.005,
        n=60,
        n_expected_false=5.0,
        smallest_p_value=0.005,
        n_at_smallest=60,
        n_needed=50,
    ),
    ranked=(FLAGGED, dataclasses.replace(FLAGGED, rank=2, path="a/2.png", row=1, is_discovery=False, n_copies=3)),
    clusters=Clusters(n_considered=119, n_unclustered=107, clusters=(CLUSTER,)),
    by_folder=Groups(n=2, top=(group("a", 100, 500, 1e-9), group(".", 20, 500, 0.9))),
    by_label=Groups(n=1, top=(group("three", 120, 1000, 1e-6),)),
    by_given_label=Groups(n=70, top=(group("eight", 120, 1000, 1e-6, 900),)),
    agreement=Agreement(
        n_given=1000,
        compared=share(900, 1000),
        confusions=(Confusion(given_label="eight", label_name="three", n=100, n_flagged=90),),
    ),
    unreadable=(UnreadableReason(error="the file is empty; send another", n=10, examples=("a/e.png",)),),
    duplicates=Duplicates(
        n_groups=2,
        n_images=5,
        n_conflicting=1,
        groups=(
            DuplicateGroup(digest="e" * 16, n=3, paths=("x", "y", "z"), given_labels=("eight",), decisions=("clean",)),
        ),
        conflicting=(
            DuplicateGroup(
                digest="f" * 16, n=2, paths=("p", "q"), given_labels=("eight", "three"), decisions=("clean",)
            ),
        ),
    ),
)


@pytest.fixture(scope="session")
def summary() -> Summary:
    return SUMMARY


@pytest.fixture(scope="session")
def nothing_read() -> Summary:
    """Of an audit in which no image could be read."""
    none = Groups(n=0, top=())
    return dataclasses.replace(
        SUMMARY,
        false_positive_rate=None,
        counts=Counts(n_images=4, n_clean=0, n_adversarial=0, n_undecided=0, n_unreadable=4),
        flagged=Share(n=0, of=0, value=None, lower=None, upper=None),
        comparison=None,
        histogram=(),
        discoveries=dataclasses.replace(
            SUMMARY.discoveries, n_tested=0, n=0, threshold=None, n_expected_false=0.0, n_at_smallest=0, n_needed=0
        ),
        ranked=(),
        clusters=Clusters(n_considered=0, n_unclustered=0, clusters=()),
        by_folder=none,
        by_label=none,
        by_given_label=none,
        agreement=None,
        duplicates=Duplicates(n_groups=0, n_images=0, n_conflicting=0, groups=(), conflicting=()),
    )


@pytest.fixture(scope="session")
def nothing_flagged(nothing_read: Summary) -> Summary:
    """Of an audit of a hundred images, all clean."""
    comparison = dataclasses.replace(
        SUMMARY.comparison, adversarial=share(0, 100), standing=Standing.WITHIN, lowest=0.0, probability=1.0
    )
    return dataclasses.replace(
        nothing_read,
        false_positive_rate=0.05,
        counts=Counts(n_images=100, n_clean=100, n_adversarial=0, n_undecided=0, n_unreadable=0),
        flagged=share(0, 100),
        comparison=comparison,
        histogram=tuple(Bin(lower=k / 20, upper=(k + 1) / 20, n=5, expected=5.0) for k in range(20)),
        discoveries=dataclasses.replace(nothing_read.discoveries, n_tested=100, n_needed=5),
        unreadable=(),
    )


@pytest.fixture(scope="session")
def digits() -> Bundle:
    return open_bundle("digits")


@pytest.fixture(scope="session")
def contract(digits: Bundle) -> Contract:
    return Contract(
        bundle="digits",
        bundle_digest="b" * 64,
        classifier="digits",
        classifier_digest="c" * 64,
        preprocessing=digits.record.preprocessing,
        labels=digits.record.labels,
        false_positive_rate=0.05,
        n_calibration=199,
        runtime="torch",
        chunk_images=16,
        source={"kind": "folder", "location": "/secret/place/uploads"},
        columns=(),
        shard_size=32,
        device="cpu",
        isthmus_version="0.1.0",
        torch_version="2.13.0",
        n_threads=1,
    )


@pytest.fixture(scope="session")
def pictures() -> ReportPictures:
    """Of the summary: the second image and one example of the group cannot be had any more."""
    picture = np.full((1, 8, 8), 200, np.uint8)
    steps = ((0.2, picture), (0.4, picture))
    shown = Strip(image=picture, refusal=None, steps=steps, prototype=picture, suspected=picture)
    gone = Strip(image=None, refusal="the file is gone", steps=(), prototype=picture, suspected=None)
    return ReportPictures(strips=(shown, gone), examples={"a/1.png": picture}, mixing=(0.0, 0.2, 0.4, 1.0))


@pytest.fixture(scope="session")
def no_pictures() -> ReportPictures:
    return ReportPictures(strips=(), examples={}, mixing=(0.0, 1.0))


@pytest.fixture
def stored(tmp_path: Path) -> Callable[..., tuple[Item, str]]:
    """Writes a grey picture of 8 × 8 pixels; gives its item and the digest of its pixels."""

    def store(name: str, grey: int, **changes: Any) -> tuple[Item, str]:
        path = tmp_path / name
        Image.fromarray(np.full((8, 8), grey, np.uint8)).save(path)
        status = path.stat()
        item = Item(path=name, container=str(path), size=status.st_size, stamp=str(status.st_mtime_ns), **changes)
        return item, pixel_digest(torch.full((1, 8, 8), grey, dtype=torch.uint8))

    return store
