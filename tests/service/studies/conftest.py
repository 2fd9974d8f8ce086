"""Requests for the smallest studies, on the digits that come with scikit-learn."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from service.studies import claims
from service.studies.report import StudyRequest


@pytest.fixture
def few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    """Intervals good enough for a test."""
    monkeypatch.setattr(claims, "N_RESAMPLES", 60)


@pytest.fixture
def digits_request(tmp_path: Path) -> Callable[..., StudyRequest]:
    def make(limit: int, **others: Any) -> StudyRequest:
        given = {"out": tmp_path, "classifier": "digits", "device": "cpu", "limit": limit}
        return StudyRequest(**(given | others))

    return make


@pytest.fixture
def squeezenet_request(shared_data: Path, photograph_spec: Path, tmp_path: Path) -> Callable[..., StudyRequest]:
    """SqueezeNet on photographs, from the folder that ISTHMUS_TEST_DATA names."""

    def make(limit: int) -> StudyRequest:
        source = str(shared_data / "imagenette" / "val")
        return StudyRequest(out=tmp_path, classifier=str(photograph_spec), held_out=source, device="cpu", limit=limit)

    return make
