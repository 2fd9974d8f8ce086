import dataclasses
import json

import pytest
import torch
from typer.testing import CliRunner

from models.classifier import Classifier
from models.errors import ModelError
from models.loaded import LoadedClassifier
from models.registry import load_classifier
from service import model_inspection
from service.cli import app
from service.model_inspection import describe, run_inspection


@pytest.fixture(scope="module")
def digits() -> LoadedClassifier:
    return load_classifier("digits")


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(model_inspection, "waypoints_per_pass", lambda _shape: 4)


def test_it_says_what_goes_in_and_comes_out(digits):
    description = describe(digits)
    assert description["input_shape"] == [1, 8, 8]
    assert description["labels"] == list("0123456789")
    assert description["representations"]["stages.1"] == [64, 4, 4]
    assert description["representations"]["flatten"] == [64]
    assert description["digest"] == digits.classifier.digest()
    assert description["preprocessing"] == digits.preprocessing.to_dict()
    assert description["parameters"] == sum(parameter.numel() for parameter in digits.classifier.parameters())
    assert description["limits"] == []


def test_times_are_an_images_by_the_size_of_the_pass(digits, monkeypatch):
    """A clock that moves on by a second whenever it is looked at."""
    ticks = iter(range(1000))
    monkeypatch.setattr(model_inspection.time, "perf_counter", lambda: float(next(ticks)))
    description = describe(digits)
    assert description["forward_ms_per_image"] == {"1": 1000.0, "4": 250.0}
    assert description["gradient_ms_per_image"] == {"1": 1000.0, "4": 250.0}


def test_of_runs_the_median_counts_and_the_first_does_not(monkeypatch):
    seconds = iter([100.0, 1.0, 9.0, 2.0, 3.0, 1.5])
    now = [0.0]

    def act():
        now[0] += next(seconds)

    monkeypatch.setattr(model_inspection, "MOST_SECONDS", 60.0)
    monkeypatch.setattr(model_inspection.time, "perf_counter", lambda: now[0])
    assert model_inspection._median_seconds(act, torch.device("cpu")) == 2.0


def test_a_slow_classifier_is_not_run_for_long(monkeypatch):
    now = [0.0]

    def act():
        now[0] += 4.0

    monkeypatch.setattr(model_inspection.time, "perf_counter", lambda: now[0])
    model_inspection._median_seconds(act, torch.device("cpu"))
    assert now[0] == 4.0 + 2 * 4.0


class Judging(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.flatten = torch.nn.Flatten()

    def forward(self, images):
        return torch.nn.functional.one_hot(self.flatten(images).argmax(1), 4).float()


def test_without_gradients_it_says_what_is_not_possible_and_what_to_do(digits, monkeypatch, capsys):
    classifier = Classifier(
        Judging(), mean=[0.0], std=[1.0], representations=["flatten"], labels="abcd", input_shape=(1, 2, 2)
    )
    without = dataclasses.replace(digits, classifier=classifier, is_differentiable=False, limits=("It is a stone.",))
    description = describe(without)
    assert description["gradient_ms_per_image"] is None
    assert description["parameters"] is None
    assert description["limits"][0] == "It is a stone."
    assert "--prototypes real and --proxies black-box" in description["limits"][1]
    monkeypatch.setattr(model_inspection, "load_classifier", lambda *_arguments, **_options: without)
    run_inspection("x.toml", weights=None, device="cpu", json=False)
    printed = capsys.readouterr().out
    assert "not possible" in printed
    assert "It is a stone." in printed


def test_json_is_the_description(capsys):
    run_inspection("digits", weights=None, device="cpu", json=True)
    written = json.loads(capsys.readouterr().out)
    assert written["kind"] == "network of a factory"
    assert set(written["forward_ms_per_image"]) == {"1", "4"}


def test_people_read_a_table():
    result = CliRunner().invoke(app, ["inspect-model", "digits", "--device", "cpu"])
    assert result.exit_code == 0
    printed = " ".join(result.stdout.split())
    assert "labels 10: 0, 1, 2, 3, 4 and 5 others" in printed
    assert "representations stages.0: 32×8×8" in printed
    assert load_classifier("digits").classifier.digest()[:20] in printed
    assert "limits none" in printed


def test_names_are_no_markup(digits, monkeypatch, capsys):
    odd = dataclasses.replace(digits, name="[red]evil\x1b[2J")
    monkeypatch.setattr(model_inspection, "load_classifier", lambda *_arguments, **_options: odd)
    run_inspection("x.toml", weights=None, device="cpu", json=False)
    printed = capsys.readouterr().out
    assert "[red]evil" in printed
    assert "\x1b[2J" not in printed


def test_what_cannot_be_loaded_is_said():
    with pytest.raises(ModelError, match="there is no classifier 'unheard-of'"):
        run_inspection("unheard-of", weights=None, device="cpu", json=False)
