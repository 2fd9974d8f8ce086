import dataclasses
from pathlib import Path

import pytest
import torch

from models.adversarial_training import AdversarialTraining, perturbed
from models.classifier import Classifier
from models.digits import load_digits_images
from models.registry import load_untouched, registered
from models.training import LabelledImages, TrainingRun, TrainingSettings, accuracy, robust_accuracy
from models.training_cards import no_progress


def linear(weights: list[float]) -> Classifier:
    """Two labels; the second's logit is the weighted sum of two pixels."""
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(2, 2, bias=False))
    with torch.no_grad():
        network[1].weight.copy_(torch.tensor([[0.0, 0.0], weights]))
    return Classifier(
        network, mean=(0.0,), std=(1.0,), representations=("0",), labels=("no", "yes"), input_shape=(1, 1, 2)
    )


def images(*pixels: tuple[float, float]) -> torch.Tensor:
    return torch.tensor(pixels)[:, None, None, :]


def test_every_pixel_moves_to_the_edge_of_the_ball_where_the_loss_is_linear() -> None:
    attack = AdversarialTraining(radius=0.1, steps=8, step_size=0.25)
    moved = perturbed(linear([3.0, -2.0]), images((0.5, 0.5)), torch.tensor([1]), attack, torch.Generator())
    assert moved.flatten().tolist() == pytest.approx([0.4, 0.6])


def test_pixels_stay_in_their_range() -> None:
    attack = AdversarialTraining(radius=0.3, steps=8)
    moved = perturbed(linear([3.0, -2.0]), images((0.1, 0.9)), torch.tensor([1]), attack, torch.Generator())
    assert moved.flatten().tolist() == pytest.approx([0.0, 1.0])


def test_one_step_from_wide_noise_may_end_three_radii_away_but_no_farther() -> None:
    attack = AdversarialTraining(radius=0.1, steps=1, step_size=1.0, noise=2.0, bound=3.0)
    start = torch.full((200, 1, 1, 2), 0.5)
    moved = perturbed(linear([3.0, -2.0]), start, torch.ones(200, dtype=torch.long), attack, torch.Generator())
    assert 0.25 < (moved - start).abs().max() <= 0.3 + 1e-6


def test_robust_accuracy_counts_what_no_step_within_the_radius_turns() -> None:
    # The second logit is 10 · (left − right): a change of both pixels by .1 moves it by 2.
    classifier = linear([10.0, -10.0])
    data = LabelledImages(
        images=(images((0.9, 0.1), (0.55, 0.5)) * 255).round().to(torch.uint8), labels=torch.tensor([1, 1])
    )
    assert accuracy(classifier, data) == 1
    assert robust_accuracy(classifier, data, AdversarialTraining(radius=0.1)) == 0.5


def test_training_against_perturbations_makes_a_network_withstand_more_of_them(tmp_path: Path) -> None:
    training, held_out = load_digits_images()
    data = LabelledImages(images=training.images[:400], labels=training.labels[:400])
    test = LabelledImages(images=held_out.images[:200], labels=held_out.labels[:200])
    attack = AdversarialTraining(radius=0.15, steps=3, step_size=0.5)
    plain = TrainingSettings(epochs=6, batch_size=50, peak_learning_rate=0.1, crop_padding=1, flip=False)
    robust = {}
    for name, settings in {"plain": plain, "robust": dataclasses.replace(plain, adversarial=attack)}.items():
        run = TrainingRun(registered("digits").untrained(0), data, settings, tmp_path / f"{name}.safetensors")
        run.run(no_progress)
        robust[name] = robust_accuracy(run.classifier, test, dataclasses.replace(attack, steps=10, step_size=0.25))
    assert robust["robust"] > robust["plain"] + 0.05


def test_a_robust_classifier_starts_from_the_shipped_one() -> None:
    assert registered("cifar10-resnet20-robust4").starts_from == "cifar10-resnet20"
    assert not load_untouched("digits").training
