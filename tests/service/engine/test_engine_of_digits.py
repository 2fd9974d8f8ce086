"""The engine with its threads, around the shipped detector of digits."""

import concurrent.futures
import time

import pytest
import torch

from detector.types import CalibrationError, to_pixels
from service.bundles import ClassifierChoice, open_detector
from service.engine.engine import Engine
from service.engine.work import Ask, Lane


@pytest.fixture(scope="module")
def digits():
    return open_detector("digits", false_positive_rate=0.05, choice=ClassifierChoice(device="cpu")).detector


@pytest.fixture
def engine_of_digits(digits):
    engine = Engine({"digits": digits})
    engine.start()
    yield engine
    engine.close()


def test_verdicts_are_those_of_the_detector_whatever_shares_the_step(digits, engine_of_digits):
    shape = digits.classifier.input_shape
    generator = torch.Generator().manual_seed(3)
    prototypes = digits.bundle.prototypes.images.flatten(0, 1)[:24]
    noise = torch.randint(0, 256, (24, *shape), generator=generator, dtype=torch.uint8)
    images = torch.cat([prototypes, noise, (prototypes // 2 + noise // 2)])
    images = images[torch.randperm(len(images), generator=generator)]
    expected = digits.inspect(to_pixels(images))

    def ask(part):
        index, stored = part
        return engine_of_digits.submit(
            Ask(
                bundle="digits",
                images=stored if index % 3 else to_pixels(stored),
                request_id=str(index),
                deadline=time.monotonic() + 60.0,
                false_positive_rate=0.05,
                key_id="xyz"[index % 3],
                lane=list(Lane)[index % 2],
            )
        ).future.result(60.0)

    parts = torch.split(images, [1, 2, 3, 5, 7] * 4)
    with concurrent.futures.ThreadPoolExecutor(len(parts)) as pool:
        answers = list(pool.map(ask, enumerate(parts)))
    judged = [verdict for answer in answers for verdict in answer.verdicts]
    assert [verdict.decision for verdict in judged] == [verdict.decision for verdict in expected]
    assert [verdict.label for verdict in judged] == [verdict.label for verdict in expected]
    for got, wanted in zip(judged, expected, strict=True):
        assert got.p_value == wanted.p_value
        assert got.score == pytest.approx(wanted.score, abs=1e-4)


def test_pixels_that_are_no_numbers_are_undecided_and_harm_no_other(digits, engine_of_digits):
    images = to_pixels(digits.bundle.prototypes.images.flatten(0, 1)[:3])
    spoiled = images.clone()
    spoiled[1] = torch.nan
    ask = {"bundle": "digits", "request_id": "r", "deadline": time.monotonic() + 60.0, "false_positive_rate": 0.05}
    verdicts = engine_of_digits.submit(Ask(images=spoiled, **ask)).future.result(60.0).verdicts
    assert [verdict.decision.value == "undecided" for verdict in verdicts] == [False, True, False]
    assert engine_of_digits.is_ready


def test_a_rate_that_the_bundle_cannot_support_is_refused(digits, engine_of_digits):
    images = digits.bundle.prototypes.images.flatten(0, 1)[:1]
    with pytest.raises(CalibrationError):
        engine_of_digits.submit(
            Ask(bundle="digits", images=images, request_id="r", deadline=1e9, false_positive_rate=1e-9)
        )
