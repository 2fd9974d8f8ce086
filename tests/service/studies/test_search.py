import json
from pathlib import Path
from typing import Any

import pytest

from detector.evaluation.attacks import pgd
from detector.prototypes.prototype_set import PrototypeKind
from detector.search import MethodName
from detector.types import no_progress
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
    monkeypatch.setattr(search, "HEAD_KINDS", ("learned",))
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
    costs = [row["forward_equivalents"] for row in rows if row["is_on_front"]]
    assert len(costs) >= 1
    assert all(0 <= row["mean_auroc"] <= 1 for row in rows)
    write_study(report, tmp_path)
    assert len(json.loads((tmp_path / "study.json").read_text())["data"]["contenders"]) == len(rows)
    assert (tmp_path / "report.html").read_text().count("<svg") == 2
