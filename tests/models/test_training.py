import dataclasses
from pathlib import Path

import pytest
import torch

from models.classifier import Classifier
from models.digits import load_digits_images
from models.errors import ModelError
from models.registry import registered
from models.training import LabelledImages, TrainingRun, TrainingSettings, accuracy, initialised

SETTINGS = TrainingSettings(epochs=3, batch_size=50, peak_learning_rate=0.1, crop_padding=1, flip=True)


def digits(n: int = 200) -> LabelledImages:
    training, _ = load_digits_images()
    return LabelledImages(images=training.images[:n], labels=training.labels[:n])


def run_of(checkpoint: Path, data: LabelledImages, settings: TrainingSettings = SETTINGS) -> TrainingRun:
    return TrainingRun(registered("digits").untrained(settings.seed), data, settings, checkpoint)


def ignore(stage: str, done: int, total: int) -> None:
    pass


def trained(checkpoint: Path, data: LabelledImages) -> Classifier:
    run = run_of(checkpoint, data)
    run.run(ignore)
    return run.classifier


def test_the_rate_rises_to_its_peak_and_falls_to_zero() -> None:
    settings = TrainingSettings(epochs=1, peak_learning_rate=0.2, warmup_share=0.2)
    rates = [settings.learning_rate(step, 10) for step in range(10)]
    # A tenth of the way is half way up; .6 is half way down.
    assert [rates[0], rates[1], rates[5], rates[9]] == pytest.approx([0.1, 0.2, 0.1, 0.0], abs=1e-12)
    assert rates[1:] == sorted(rates[1:], reverse=True)


def test_first_weights_depend_on_the_seed_alone() -> None:
    before = torch.get_rng_state()
    first, again, other = (initialised(lambda: torch.nn.Linear(3, 3), seed).weight for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(torch.get_rng_state(), before)


def test_an_interrupted_run_that_is_resumed_equals_one_that_was_not_bit_for_bit(tmp_path: Path) -> None:
    data = digits()
    expected = trained(tmp_path / "straight.safetensors", data)

    def interrupt(stage: str, done: int, total: int) -> None:
        if done == 6:
            raise KeyboardInterrupt

    checkpoint = tmp_path / "interrupted.safetensors"
    with pytest.raises(KeyboardInterrupt):
        run_of(checkpoint, data).run(interrupt)
    resumed = run_of(checkpoint, data)
    assert resumed.epoch == 1
    resumed.run(ignore)
    theirs = resumed.classifier.state_dict()
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in expected.state_dict().items())
    assert resumed.classifier.digest() == expected.digest()


def test_progress_counts_every_step(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    run_of(tmp_path / "c.safetensors", digits()).run(lambda _stage, done, total: seen.append((done, total)))
    assert seen == [(step, 12) for step in range(1, 13)]


def test_the_trained_network_is_frozen(tmp_path: Path) -> None:
    classifier = trained(tmp_path / "c.safetensors", digits())
    assert not classifier.training
    assert not any(parameter.requires_grad for parameter in classifier.parameters())


def test_a_checkpoint_of_other_settings_is_refused(tmp_path: Path) -> None:
    checkpoint = tmp_path / "c.safetensors"
    trained(checkpoint, digits())
    with pytest.raises(ModelError, match=r"was made with other settings: .*remove it to start again"):
        run_of(checkpoint, digits(), dataclasses.replace(SETTINGS, seed=1))


def test_a_checkpoint_of_other_images_is_refused(tmp_path: Path) -> None:
    checkpoint = tmp_path / "c.safetensors"
    trained(checkpoint, digits())
    with pytest.raises(ModelError, match="was made with other data"):
        run_of(checkpoint, digits(150))


def test_a_damaged_checkpoint_is_refused(tmp_path: Path) -> None:
    checkpoint = tmp_path / "c.safetensors"
    trained(checkpoint, digits())
    checkpoint.write_bytes(checkpoint.read_bytes()[:-100])
    with pytest.raises(ModelError, match="is not a whole safetensors file"):
        run_of(checkpoint, digits())


def test_too_few_images_for_one_batch_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="40 training images do not fill one batch of 50"):
        run_of(tmp_path / "c.safetensors", digits(40)).run(ignore)


def test_training_that_diverges_says_so(tmp_path: Path) -> None:
    settings = dataclasses.replace(SETTINGS, peak_learning_rate=1e30)
    with pytest.raises(ModelError, match=r"training diverged in epoch \d .*lower the learning rate"):
        run_of(tmp_path / "c.safetensors", digits(), settings).run(ignore)


def test_accuracy_is_the_share_of_right_labels() -> None:
    classifier = registered("digits").untrained(0)
    data = digits(30)
    with torch.no_grad():
        predicted = classifier(data.images.float() / 255).logits.argmax(1)
    labels = torch.where(torch.arange(30) < 21, predicted, (predicted + 1) % 10)
    assert accuracy(classifier, LabelledImages(images=data.images, labels=labels), batch_size=7) == 21 / 30


def test_the_digest_of_images_changes_with_one_pixel_or_label() -> None:
    data = digits(5)
    pixels, labels = data.images.clone(), data.labels.clone()
    pixels[0, 0, 0, 0] += 1
    labels[0] += 1
    variants = [
        data,
        LabelledImages(images=pixels, labels=data.labels),
        LabelledImages(images=data.images, labels=labels),
    ]
    assert len({variant.digest() for variant in variants}) == 3
