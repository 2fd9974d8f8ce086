import dataclasses
from pathlib import Path

import pytest

from detector.presets import Preset, settings_for
from detector.prototypes.prototype_set import PrototypeKind
from service.calibration import CalibrationRequest, refuse_unwritable, settings_of
from service.errors import InputError
from service.options import PresetName, PrototypeName


def request(classifier="SPEC.toml", **changes):
    return CalibrationRequest(classifier=classifier, images="a", held_out="b", out=Path("c"), **changes)


def test_what_is_not_asked_for_is_the_presets():
    assert settings_of(request(preset=PresetName.FAST)) == settings_for(Preset.FAST)


def test_what_is_asked_for_replaces_the_presets():
    asked = request(seed=7, reserve=0.1, prototypes=PrototypeName.GREY, false_positive_rates=(0.02,))
    preset = settings_for(Preset.DEFAULT)
    expected = dataclasses.replace(
        preset,
        seed=7,
        prototype_kind=PrototypeKind.GREY,
        false_positive_rates=(0.02,),
        shares=dataclasses.replace(preset.shares, reserved=0.1),
    )
    assert settings_of(asked) == expected


def test_images_are_varied_as_in_the_training_of_a_registered_classifier():
    assert settings_of(request("digits")).stream.flip is False
    assert settings_of(request("cifar10-resnet20")).stream.flip is True
    assert settings_of(request("digits", flip=True)).stream.flip is True


def test_how_long_and_against_what_to_learn_can_be_asked_for():
    settings = settings_of(request(steps=5, batches=6, proxy_radius=(0.1, 0.2)))
    assert (settings.learning.steps, settings.fitting.batches) == (5, 6)
    assert (settings.stream.proxies.smallest_radius, settings.stream.proxies.largest_radius) == (0.1, 0.2)


def test_a_folder_of_something_else_is_refused_before_the_work(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="not a bundle"):
        refuse_unwritable(tmp_path)


def test_a_folder_below_a_file_is_refused_before_the_work(tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(InputError, match="cannot be written"):
        refuse_unwritable(tmp_path / "file" / "bundle")


def test_a_new_folder_is_accepted_and_not_made_yet(tmp_path):
    refuse_unwritable(tmp_path / "new" / "bundle")
    assert list(tmp_path.iterdir()) == []
