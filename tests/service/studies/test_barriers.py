import json
from pathlib import Path

import numpy as np
import pytest

from detector.types import no_progress
from service.errors import InputError
from service.studies import barriers, photographs
from service.studies.page import render_study
from service.studies.report import StudyRequest
from service.studies.serialised import as_document


def test_the_study_of_digits_holds_every_number_that_it_speaks_of(digits_request):
    report = barriers.run(digits_request(16, seed=1), no_progress)
    document = as_document(report)
    data = document["data"]
    straight, once = (np.array(data["barriers"][name]) for name in ("straight", "bypass"))
    assert len(straight) == len(data["outcomes"]["bypass"]) == 16
    assert (once <= straight).all()
    assert json.dumps(document, allow_nan=False)
    n_rising = int((straight > data["flat"]).sum())
    assert f"of the {n_rising} barriers" in report.findings[1].measured
    assert "<svg" in render_study(report)


def test_one_seed_gives_one_study(digits_request):
    first, second = (as_document(barriers.run(digits_request(4), no_progress)) for _ in range(2))
    assert first == second


@pytest.mark.parametrize(("given", "message"), [({}, "add --classifier"), ({"classifier": "SPEC.toml"}, "SPEC.toml")])
def test_photographs_need_a_classifier_that_the_user_names(tmp_path, given, message):
    with pytest.raises(ValueError, match=message):
        photographs.run(StudyRequest(out=tmp_path, **given), no_progress)


def test_more_pairs_than_images_are_refused(digits_request):
    with pytest.raises(InputError, match="lower --limit"):
        barriers.run(digits_request(600), no_progress)


@pytest.mark.shared_data
@pytest.mark.slow
def test_photographs_have_straight_paths_and_bypasses_too(tmp_path: Path, squeezenet_request):
    report = photographs.run(squeezenet_request(1), no_progress)
    data = as_document(report)["data"]
    assert data["barriers"]["bypass"][0] <= data["barriers"]["straight"][0]
