import dataclasses

import pytest
import torch

from models.preprocessing import Interpolation
from service.bench import steps
from service.bench.contenders import Calibrated, Contender, open_contender
from service.bench.steps import inspect_in_steps, work_of, works_of
from service.options import RuntimeName


@pytest.fixture(scope="module")
def digits():
    return open_contender(Contender(subject=Calibrated(bundle="digits"), device="cpu", runtime=RuntimeName.TORCH))


def under_another_name(opened):
    return dataclasses.replace(opened, contender=dataclasses.replace(opened.contender, runtime=RuntimeName.ONNXRUNTIME))


def test_a_batch_that_is_asked_for_is_a_step(digits, monkeypatch):
    taken = []
    straight = digits.detector.straight
    monkeypatch.setattr(digits.detector, "straight", lambda images: taken.append(len(images)) or straight(images))
    inspect_in_steps(digits.detector, torch.zeros(7, 1, 8, 8), 3)
    assert taken == [3, 3, 1]


def test_images_of_a_set_are_whole_steps_and_those_of_noise_one(digits):
    assert work_of(digits, None, 5).images.shape == (5, 1, 8, 8)
    assert len(work_of(digits, "digits:held-out", 50).images) == 150


@pytest.fixture
def read(monkeypatch):
    """What was asked of the loader."""
    asked = []
    load = steps.load_image_set
    monkeypatch.setattr(steps, "load_image_set", lambda *all_, **options: asked.append(all_) or load(*all_, **options))
    return asked


def test_a_set_is_read_once_for_all_that_take_it_alike(digits, read):
    one, other = works_of([digits, under_another_name(digits)], "digits:held-out", 50).values()
    assert one.images is other.images
    assert len(read) == 1


def test_a_set_is_read_again_for_who_prepares_it_otherwise(digits, read):
    preprocessing = digits.preprocessing.model_copy(update={"interpolation": Interpolation.LANCZOS})
    other = dataclasses.replace(under_another_name(digits), preprocessing=preprocessing)
    assert len(works_of([digits, other], "digits:held-out", 50)) == 2
    assert [asked[1] for asked in read] == [digits.preprocessing, preprocessing]
