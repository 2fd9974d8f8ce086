import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from models import registry
from models.digits import load_digits_images
from models.errors import ModelError
from models.files import file_digest
from models.registry import load_classifier, names, registered, shipped_card
from models.training import accuracy
from models.weight_files import fit_weights, read_weights


def copied(folder: Path) -> Path:
    """The shipped digits weights and their card."""
    source = registered("digits").weights_file
    shutil.copy(source.with_suffix(".json"), folder / "digits.json")
    return Path(shutil.copy(source, folder / "digits.safetensors"))


@pytest.mark.parametrize("name", names())
def test_every_entry_fits_its_network(name: str) -> None:
    entry = registered(name)
    outputs = entry.untrained(0)(torch.zeros(2, *entry.input_shape))
    assert outputs.logits.shape == (2, len(entry.labels))
    assert list(outputs.representations) == list(entry.representations)
    channels, height, width = entry.input_shape
    assert (entry.preprocessing.channels, entry.preprocessing.height, entry.preprocessing.width) == (
        channels,
        height,
        width,
    )


@pytest.mark.parametrize("name", [name for name in names() if registered(name).is_shipped])
def test_what_is_shipped_is_what_was_measured(name: str) -> None:
    entry, card = registered(name), shipped_card(name)
    assert card is not None
    assert card.name == name
    assert card.sha256 == file_digest(entry.weights_file)
    assert load_classifier(name).name == name


def test_the_shipped_digits_reach_the_accuracy_on_their_card() -> None:
    training, held_out = load_digits_images()
    card = shipped_card("digits")
    assert card is not None
    assert (card.train_digest, card.test_digest) == (training.digest(), held_out.digest())
    assert card.accuracy >= 0.975
    # Another machine may round the last bits otherwise.
    assert accuracy(load_classifier("digits").classifier, held_out) == pytest.approx(card.accuracy, abs=2 / 897)


def test_weights_are_float32_and_the_digest_is_that_of_the_shipped_ones() -> None:
    entry = registered("digits")
    unfolded = entry.untrained(0)
    fit_weights(unfolded.network, read_weights(entry.weights_file), entry.weights_file)
    loaded = load_classifier("digits").classifier
    assert {parameter.dtype for parameter in loaded.parameters()} == {torch.float32}
    assert loaded.digest() == unfolded.digest()
    pixels = torch.rand(3, 1, 8, 8)
    torch.testing.assert_close(loaded(pixels).logits, unfolded(pixels).logits, atol=1e-4, rtol=1e-5)


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(ModelError, match=r"no classifier 'digit'; give one of digits, cifar10-resnet20, .*SPEC.toml"):
        load_classifier("digit")


def test_weights_that_are_not_shipped_say_how_to_train_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "WEIGHTS_FOLDER", tmp_path)
    command = "isthmus train cifar10-resnet18 --data DIR --out DIR"
    with pytest.raises(ModelError, match=f"the weights of cifar10-resnet18 are not shipped.*{command}"):
        load_classifier("cifar10-resnet18")
    assert shipped_card("cifar10-resnet18") is None


def test_two_files_in_the_weights_folder_are_all_that_is_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = copied(tmp_path)
    monkeypatch.setattr(registry, "WEIGHTS_FOLDER", tmp_path)
    assert registered("digits").is_shipped
    assert load_classifier("digits").classifier.digest()
    weights.unlink()
    assert not registered("digits").is_shipped


def test_a_file_that_was_tampered_with_is_refused(tmp_path: Path) -> None:
    weights = copied(tmp_path)
    changed = bytearray(weights.read_bytes())
    changed[-1] ^= 1
    weights.write_bytes(changed)
    with pytest.raises(ModelError, match=r"digits.safetensors is not the file that was measured: its sha256 is"):
        load_classifier("digits", weights=weights)


def test_weights_without_a_card_are_taken_as_they_are(tmp_path: Path) -> None:
    weights = copied(tmp_path)
    weights.with_suffix(".json").unlink()
    assert (
        load_classifier("digits", weights=weights).classifier.digest() == load_classifier("digits").classifier.digest()
    )


def test_weights_that_overflow_are_refused(tmp_path: Path) -> None:
    weights = {name: tensor.clone() for name, tensor in read_weights(registered("digits").weights_file).items()}
    weights["head.bias"][0] = torch.inf
    save_file(weights, tmp_path / "own.safetensors")
    with pytest.raises(ModelError, match="the logits of 4 of 4 random images are infinite or no numbers"):
        load_classifier("digits", weights=tmp_path / "own.safetensors")


def test_weights_of_another_classifier_are_refused(tmp_path: Path) -> None:
    weights = copied(tmp_path)
    with pytest.raises(
        ModelError, match=r"not of this architecture: \d+ missing \(first 'stem.0.weight', .*\d+ unexpected \(first "
    ):
        load_classifier("cifar10-resnet20", weights=weights)


def test_a_weight_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"there is no weight file .*absent.safetensors"):
        load_classifier("digits", weights=tmp_path / "absent.safetensors")


def test_a_damaged_card_is_named(tmp_path: Path) -> None:
    weights = copied(tmp_path)
    weights.with_suffix(".json").write_text("{}")
    with pytest.raises(ModelError, match=r"digits.json is not a training card: name: missing"):
        load_classifier("digits", weights=weights)


@pytest.mark.parametrize("device", ["gpu", "nowhere:0"])
def test_an_unknown_device_is_named(device: str) -> None:
    with pytest.raises(ModelError, match=f"the device '{device}' is not to be had here"):
        load_classifier("digits", device=device)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_device_that_is_not_there_is_named() -> None:
    with pytest.raises(ModelError, match="the device 'cuda' is not to be had here"):
        load_classifier("digits", device="cuda")
