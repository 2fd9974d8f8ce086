import dataclasses
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from detector.bundle_record import ProxySource
from detector.presets import Preset, settings_for
from detector.prototypes.prototype_set import PrototypeKind
from detector.types import CalibrationError
from models.registry import load_classifier
from service import calibration
from service.calibration import refuse_unwritable
from service.calibration_costs import notes_on
from service.calibration_request import CalibrationRequest, settings_of
from service.cli import app
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


def test_what_prototypes_there_are_and_where_learning_starts_can_be_asked_for():
    asked = request(start=PrototypeName.NOISE, per_label=5, mixing=(0.1, 0.5), own_class_weight=0.7)
    preset = settings_for(Preset.DEFAULT)
    expected = dataclasses.replace(
        preset,
        learning_start=PrototypeKind.NOISE,
        n_prototypes=5,
        mixing=(0.1, 0.5),
        learning=dataclasses.replace(preset.learning, own_class_weight=0.7),
    )
    assert settings_of(asked) == expected


@pytest.mark.parametrize("changes", [{"start": PrototypeName.REAL}, {"own_class_weight": 0.0}])
@pytest.mark.parametrize("unlearned", [{"preset": PresetName.FAST}, {"prototypes": PrototypeName.STAR}])
def test_how_to_learn_is_refused_where_nothing_is_learned(changes, unlearned):
    with pytest.raises(InputError, match=r"about learned prototypes, and these are (feature-visualised|star)"):
        settings_of(request(**changes, **unlearned))
    settings_of(request(prototypes=PrototypeName.LEARNED, preset=PresetName.FAST, **changes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"start": PrototypeName.LEARNED}, "cannot start from learned prototypes; give one of real"),
        ({"start": PrototypeName.NONE}, "cannot start from none prototypes"),
        ({"mixing": (0.2, 1.5)}, "each must lie between 0, at the image, and 1"),
        ({"per_label": 0}, "0 prototypes of each label"),
    ],
)
def test_what_makes_no_sense_is_refused_before_the_work(changes, message):
    with pytest.raises(CalibrationError, match=message):
        settings_of(request(**changes))


def test_the_command_passes_on_what_is_asked(monkeypatch):
    asked = []
    monkeypatch.setattr(calibration, "run_calibration", lambda request, **_: asked.append(request))
    command = "calibrate --classifier digits --images a --held-out b --out c --per-label 4 --start other-label"
    result = CliRunner().invoke(
        app, [*command.split(), "--mixing", "0.1", "--mixing", "0.3", "--own-class-weight", "2"]
    )
    assert result.exit_code == 0, result.output
    expected = request("digits", per_label=4, start=PrototypeName.OTHER_LABEL, mixing=(0.1, 0.3), own_class_weight=2.0)
    assert asked == [expected]


@pytest.mark.parametrize("wrong", ["--per-label 0", "--own-class-weight -1", "--start learnt", "--mixing far"])
def test_options_out_of_range_are_exit_code_2(wrong):
    command = "calibrate --classifier digits --images a --held-out b --out c " + wrong
    assert CliRunner().invoke(app, command.split()).exit_code == 2


def _detached_digits(*_, **__):
    loaded = load_classifier("digits")
    loaded.classifier.network.register_forward_hook(lambda _module, _inputs, logits: logits.detach())
    return loaded


def test_a_classifier_without_gradients_is_calibrated_and_the_bundle_says_what_that_costs(
    monkeypatch, tmp_path, caplog, capsys
):
    monkeypatch.setattr(calibration, "load_classifier", _detached_digits)
    asked = CalibrationRequest(
        classifier="digits",
        images="digits:train",
        held_out="digits:held-out",
        out=tmp_path / "bundle",
        per_label=1,
        batches=3,
        queries=20,
        proxies=("black-box",),
        proxy_radius=(0.1, 0.3),
        false_positive_rates=(0.05,),
    )
    calibration.run_calibration(asked, json=True)
    summary = json.loads(capsys.readouterr().out)
    assert summary["prototype_kinds"] == {"real": 1}
    assert summary["calibrated_with"] == "proxies from a black-box attack, which has logits alone"
    assert summary["measured"]["queries_per_image"] <= 20
    assert summary["notes"] == list(notes_on(ProxySource.BLACK_BOX))
    assert list(notes_on(ProxySource.BLACK_BOX)) == caplog.messages


def test_what_follows_gradients_is_refused_before_the_images_are_read(monkeypatch, tmp_path):
    monkeypatch.setattr(calibration, "load_classifier", _detached_digits)
    asked = dataclasses.replace(request("digits", prototypes=PrototypeName.LEARNED), out=tmp_path / "bundle")
    with pytest.raises(InputError, match="digits gives no gradient"):
        calibration.run_calibration(asked, json=True)


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
