import dataclasses
import datetime
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import nn

from models.cards import TrainingCard, read_card
from models.digits import load_digits_images
from models.errors import ModelError
from models.files import file_digest
from models.registry import load_classifier, registered
from models.training import LabelledImages, ProgressCallback, TrainingRun, accuracy
from models.training_cards import train_registered

SETTINGS = dataclasses.replace(registered("digits").training, epochs=2)
DATE = datetime.date(2024, 2, 29)


def some(n: int) -> LabelledImages:
    training, _ = load_digits_images()
    return LabelledImages(images=training.images[:n], labels=training.labels[:n])


def train(out: Path, **changes: object) -> TrainingCard:
    arguments = {"name": "digits", "train": some(200), "test": some(90), "settings": SETTINGS, "date": DATE}
    return train_registered(out=out, **(arguments | changes))


def test_weights_and_card_are_written_and_nothing_else(tmp_path: Path) -> None:
    out = tmp_path / "new" / "folder"
    card = train(out)
    assert sorted(path.name for path in out.iterdir()) == ["digits.json", "digits.safetensors"]
    assert read_card(out / "digits.json") == card
    assert card.sha256 == file_digest(out / "digits.safetensors")
    assert (card.n_train, card.n_test, card.seed, card.date) == (200, 90, 0, DATE)
    assert card.settings == dataclasses.asdict(SETTINGS)
    assert (card.train_digest, card.test_digest) == (some(200).digest(), some(90).digest())


def test_the_accuracy_is_that_of_the_half_precision_weights_in_the_file(tmp_path: Path) -> None:
    card = train(tmp_path)
    stored = safetensors.torch.load_file(tmp_path / "digits.safetensors")
    assert {tensor.dtype for tensor in stored.values() if tensor.is_floating_point()} == {torch.float16}
    loaded = load_classifier("digits", weights=tmp_path / "digits.safetensors")
    assert accuracy(loaded.classifier, some(90)) == card.accuracy


def test_an_interrupted_training_goes_on_to_the_same_weights(tmp_path: Path) -> None:
    expected = train(tmp_path / "straight")

    def interrupt(stage: str, done: int, total: int) -> None:
        if done == total:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "interrupted", progress=interrupt)
    assert [path.name for path in (tmp_path / "interrupted").iterdir()] == ["digits.checkpoint.safetensors"]
    assert train(tmp_path / "interrupted").sha256 == expected.sha256


def test_another_seed_gives_other_weights(tmp_path: Path) -> None:
    other = dataclasses.replace(SETTINGS, seed=1)
    assert train(tmp_path / "0").sha256 != train(tmp_path / "1", settings=other).sha256


def test_an_unwritable_folder_is_refused_before_training(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    def never(stage: str, done: int, total: int) -> None:
        raise AssertionError("training has begun")

    with pytest.raises(ModelError, match="file/out cannot be written"):
        train(tmp_path / "file" / "out", progress=never)


def test_weights_that_overflow_in_half_precision_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def overflow(run: TrainingRun, _progress: ProgressCallback) -> None:
        nn.init.constant_(run.classifier.network.head.bias, 1e6)

    monkeypatch.setattr(TrainingRun, "run", overflow)
    with pytest.raises(ModelError, match=r"'head.bias' is not finite in half precision"):
        train(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (LabelledImages(images=some(0).images, labels=some(0).labels), "there are no test images"),
        (
            LabelledImages(images=torch.zeros(2, 3, 8, 8, dtype=torch.uint8), labels=torch.tensor([0, 1])),
            r"digits takes images of shape \(1, 8, 8\) .*, but the test images have \(3, 8, 8\)",
        ),
        (
            LabelledImages(images=some(2).images, labels=torch.tensor([0, 10])),
            "the labels of digits go from 0 to 9, but those of the test images go from 0 to 10",
        ),
        (
            LabelledImages(images=some(2).images, labels=torch.tensor([-1, 3])),
            "but those of the test images go from -1 to 3",
        ),
    ],
    ids=["none", "shape", "label too large", "label below zero"],
)
def test_images_that_do_not_fit_are_refused(tmp_path: Path, images: LabelledImages, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        train(tmp_path, test=images)


def test_an_unknown_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="there is no classifier 'digit'"):
        train(tmp_path, name="digit")
