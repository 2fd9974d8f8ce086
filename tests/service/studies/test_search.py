import json
from pathlib import Path
from typing import Any

import pytest

from detector.evaluation.attacks import pgd
from detector.prototypes.prototype_set import PrototypeKind
from detector.search import MethodName
from detector.types import no_progress
from service.errors import InputError
from service.studies import search
from service.studies.report import StudyRequest
from service.study import write_study


@pytest.fixture
def tiny(monkeypatch: Any) -> None:
    """The whole study in seconds: one attack, one other kind of prototype, two methods."""
    monkeypatch.setattr(search, "SUITE", {"pgd": pgd(0.25)})
    monkeypatch.setattr(search, "KINDS", (PrototypeKind.REAL,))
    monkeypatch.setattr(search, "WIDE_POTENTIALS", ())
    monkeypatch.setattr(search, "METHODS", (MethodName.BYPASS, MethodName.CHAIN))
    monkeypatch.setattr(search, "HEAD_METHODS", (MethodName.BYPASS,))
    monkeypatch.setattr(search, "HEAD_KINDS", ())
    monkeypatch.setattr(search, "N_BATCHES", 2)
    monkeypatch.setattr(search, "N_VALIDATION", 1)


@pytest.mark.usefixtures("tiny")
def test_every_contender_is_on_the_page_and_in_the_document(tmp_path: Path) -> None:
    report = search.run(StudyRequest(out=tmp_path, classifier="digits", limit=20), no_progress)
    rows = report.data["contenders"]
    # Two kinds of prototypes, one or all of them, two judges, straight and two methods; and the heads.
    untrained = [row for row in rows if row["judge"] != "head"]
    assert len(untrained) == 2 * 2 * 2 * 3
    heads = [row for row in rows if row["judge"] == "head"]
    assert {row["method"] for row in heads} == {"straight", "bypass"}
    front = [row for row in rows if row["is_on_front"]]
    best = max(rows, key=lambda row: row["mean_auroc"])
    assert best["mean_auroc"] == max(row["mean_auroc"] for row in front)
    # On straight paths a head sees the image and two waypoints for each of one or three prototypes.
    assert {3.0, 7.0} <= {row["forward_equivalents"] for row in heads if row["method"] == "straight"}
    write_study(report, tmp_path)
    assert len(json.loads((tmp_path / "study.json").read_text())["data"]["contenders"]) == len(rows)
    assert (tmp_path / "report.html").read_text().count("<svg") == 2


def test_images_that_the_bundle_was_not_calibrated_on_are_refused(tmp_path: Path) -> None:
    request = StudyRequest(out=tmp_path, classifier="digits", held_out="digits:train", train="digits:held-out")
    with pytest.raises(InputError, match="not calibrated on these images"):
        search.run(request, no_progress)
