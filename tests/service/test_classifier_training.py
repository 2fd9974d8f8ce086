import json
import logging

import numpy as np
import pytest

from service import classifier_training
from service.classifier_training import run_training


@pytest.fixture
def source(tmp_path):
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (80, 8, 8, 1), dtype=np.uint8)
    np.savez(tmp_path / "digits.npz", images=images, labels=np.arange(80) % 10)
    return str(tmp_path / "digits.npz")


def train(source, out):
    run_training("digits", data=source, test=source, out=out, epochs=1, seed=3, device="cpu", download=False)


def test_weights_and_card_are_written_and_the_accuracy_is_said(tmp_path, source, capsys):
    train(source, tmp_path / "out")
    card = json.loads((tmp_path / "out" / "digits.json").read_text())
    assert (card["seed"], card["settings"]["epochs"], card["n_test"]) == (3, 1, 80)
    assert (tmp_path / "out" / "digits.safetensors").is_file()
    assert f"{card['accuracy']:.2%} of 80 test images right" in capsys.readouterr().out


def test_an_interrupted_training_says_how_it_goes_on(tmp_path, source, monkeypatch, caplog):
    def interrupt(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(classifier_training, "train_registered", interrupt)
    with caplog.at_level(logging.INFO, logger="service"), pytest.raises(KeyboardInterrupt):
        train(source, tmp_path / "out")
    assert "goes on from the last finished epoch" in caplog.text
