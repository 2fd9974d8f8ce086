"""Through the real engine: what is answered is what the detector says."""

import dataclasses
import io

import numpy as np
import pytest
import torch
from asking.waiting import wait_until
from PIL import Image

from detector.types import to_pixels
from service.engine.engine import Engine
from service.engine.work import EngineState
from service.records import FIELDS, verdict_record
from service.rest.judging import Options, judge_pixels


@pytest.fixture(scope="module")
def engine(digits):
    engine = Engine({"digits": digits.detector})
    engine.start()
    wait_until(lambda: engine.state is not EngineState.STARTING)
    yield engine
    engine.close()


@pytest.fixture
def served(runtime, engine):
    return dataclasses.replace(runtime, engine=engine)


@pytest.mark.parametrize("rate", [None, 0.2])
def test_verdicts_are_those_of_the_detector_field_by_field(served, make_client, digits, digit_pngs, rate):
    pngs = digit_pngs(12)
    forms = [("files", (f"{index}.png", content)) for index, content in enumerate(pngs)]
    parameters = {} if rate is None else {"false_positive_rate": rate}
    results = make_client(served).post("/v1/detect", files=forms, params=parameters).json()["results"]
    pixels = np.stack([np.asarray(Image.open(io.BytesIO(content)))[None] for content in pngs])
    verdicts = digits.detector.inspect(to_pixels(torch.from_numpy(pixels)), false_positive_rate=rate)
    for index, (result, verdict) in enumerate(zip(results, verdicts, strict=True)):
        expected = verdict_record(f"{index}.png", verdict, digits.labels)
        for field in FIELDS:
            if isinstance(expected[field], float | list):
                assert result[field] == pytest.approx(expected[field], rel=1e-4, abs=1e-5), field
            else:
                assert result[field] == expected[field], field


def test_pixels_not_a_number_are_undecided(run, served, pixels):
    images = pixels.float() / 255
    images[1] = float("nan")
    judged = run(
        judge_pixels(served, served.bundle("digits"), images, ["0", "1", "2"], Options(request_id="r"), None, None)
    )
    assert [record["decision"] == "undecided" for record in judged.records] == [False, True, False]


def test_pictures_go_along_the_lowest_path(served, make_client, png):
    client = make_client(served)
    [result] = client.post("/v1/detect?pictures=true", files={"files": png}).json()["results"]
    strip = result["pictures"]["strip"]
    assert strip[0]["cross_entropy"] == pytest.approx(result["profile"][0], abs=1e-3)
    assert strip[-1]["cross_entropy"] == pytest.approx(result["profile"][-1], abs=1e-3)
