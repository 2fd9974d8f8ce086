"""Training of the shipped classifiers: one-cycle SGD, resumable after every epoch.

One seed gives one result on one machine: every epoch draws from a generator seeded by (seed, epoch), so a run that was
interrupted and resumed takes the same steps as one that was not.
"""

import dataclasses
import json
import math
import time
from collections.abc import Callable
from pathlib import Path

import torch
from jaxtyping import Int64, UInt8
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional

from models.adversarial_training import AdversarialTraining, perturbed
from models.augmentation import random_crops, random_flips
from models.classifier import Classifier
from models.errors import ModelError, one_line
from models.files import replace_atomically, tensor_digest

ProgressCallback = Callable[[str, int, int], None]
"""Called with (what is being done, steps done, steps in all)."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class LabelledImages:
    """Images as uint8 of shape (image, channel, height, width) and their labels of shape (image,)."""

    images: UInt8[Tensor, "image channel height width"]
    labels: Int64[Tensor, " image"]

    def __len__(self) -> int:
        return len(self.labels)

    def digest(self) -> str:
        """sha256 over pixels and labels: what the result was trained or measured on."""
        return tensor_digest([self.images, self.labels])


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """What a training run depends on besides its data.

    Attributes:
        epochs: passes over the training images.
        peak_learning_rate: the top of the one-cycle schedule (Smith & Topin 2017, arXiv 1708.07120).
        warmup_share: share of all steps in which the rate rises to its peak.
        crop_padding: largest shift of the random crops, in pixels.
        flip: whether images are mirrored at random (not for digits).
        adversarial: what the images are perturbed with before each step; None trains on them as they are.
    """

    epochs: int
    batch_size: int = 128
    peak_learning_rate: float = 0.2
    warmup_share: float = 0.2
    momentum: float = 0.9
    weight_decay: float = 5e-4
    crop_padding: int = 2
    flip: bool = True
    seed: int = 0
    adversarial: AdversarialTraining | None = None

    def learning_rate(self, step: int, n_steps: int) -> float:
        """Linear rise to the peak, then half a cosine down to zero."""
        position = (step + 1) / n_steps
        if position < self.warmup_share:
            return self.peak_learning_rate * position / self.warmup_share
        fall = (position - self.warmup_share) / (1 - self.warmup_share)
        return self.peak_learning_rate * 0.5 * (1 + math.cos(math.pi * fall))


def initialised(factory: Callable[[], nn.Module], seed: int) -> nn.Module:
    """Build a network whose first weights depend on the seed alone, without touching the global generator."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return factory()


class TrainingRun:
    """One network on its way through its epochs; `checkpoint` holds the last finished epoch.

    Args:
        classifier: wraps the network to be trained; its normalisation is part of it.
        data: training images.
        settings: the schedule.
        checkpoint: file that is written after every epoch, and read if it is there.

    Raises:
        ModelError: the checkpoint is damaged, or comes from other settings or other images.
    """

    def __init__(
        self, classifier: Classifier, data: LabelledImages, settings: TrainingSettings, checkpoint: Path
    ) -> None:
        self.classifier = classifier
        self.data = data
        self.settings = settings
        self.checkpoint = checkpoint
        self.epoch = 0
        self.seconds = 0.0
        for parameter in classifier.network.parameters():
            parameter.requires_grad_(True)
        self._optimizer = torch.optim.SGD(
            classifier.network.parameters(),
            lr=settings.peak_learning_rate,
            momentum=settings.momentum,
            weight_decay=settings.weight_decay,
            nesterov=True,
        )
        self._identity = {
            "settings": json.dumps(dataclasses.asdict(settings), sort_keys=True),
            "data": data.digest(),
        }
        if checkpoint.exists():
            self._resume()

    def run(self, progress: ProgressCallback) -> None:
        """Train the remaining epochs; the network is left frozen and in eval mode."""
        n_steps = len(self.data) // self.settings.batch_size
        if n_steps == 0:
            raise ModelError(
                f"{len(self.data)} training images do not fill one batch of {self.settings.batch_size}; "
                "give more images or a smaller batch"
            )
        while self.epoch < self.settings.epochs:
            started = time.perf_counter()
            mean_loss = self._train_epoch(n_steps, progress)
            if not math.isfinite(mean_loss):
                raise ModelError(
                    f"training diverged in epoch {self.epoch + 1} (loss {mean_loss}); lower the learning rate "
                    f"(peak {self.settings.peak_learning_rate})"
                )
            self.epoch += 1
            self.seconds += time.perf_counter() - started
            self._save()
        self.classifier.freeze()

    def _train_epoch(self, n_steps: int, progress: ProgressCallback) -> float:
        settings = self.settings
        generator = torch.Generator().manual_seed(settings.seed * 100_003 + self.epoch)
        order = torch.randperm(len(self.data), generator=generator)
        self.classifier.network.train()
        total_loss = 0.0
        for step in range(n_steps):
            chosen = order[step * settings.batch_size : (step + 1) * settings.batch_size]
            images = random_crops(self.data.images[chosen], settings.crop_padding, generator)
            if settings.flip:
                images = random_flips(images, generator)
            overall_step = self.epoch * n_steps + step
            for group in self._optimizer.param_groups:
                group["lr"] = settings.learning_rate(overall_step, settings.epochs * n_steps)
            loss = self._loss(images, self.data.labels[chosen], generator)
            self._optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            self._optimizer.step()
            total_loss += loss.item()
            done = overall_step + 1
            progress(f"epoch {self.epoch + 1}, loss {total_loss / (step + 1):.3f}", done, settings.epochs * n_steps)
        return total_loss / n_steps

    def _loss(self, images: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
        pixels, labels = self._to_pixels(images), labels.to(self.classifier.device)
        if self.settings.adversarial is not None:
            pixels = perturbed(self.classifier, pixels, labels, self.settings.adversarial, generator)
        return functional.cross_entropy(self.classifier(pixels).logits, labels)

    def _to_pixels(self, images: Tensor) -> Tensor:
        pixels = images.to(self.classifier.device).float() / 255
        return pixels.contiguous(memory_format=torch.channels_last)

    def _save(self) -> None:
        momentum = {
            f"momentum.{name}": self._optimizer.state[parameter]["momentum_buffer"]
            for name, parameter in self.classifier.network.named_parameters()
        }
        weights = {f"network.{name}": tensor for name, tensor in self.classifier.network.state_dict().items()}
        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in {**weights, **momentum}.items()}
        metadata = {**self._identity, "epoch": str(self.epoch), "seconds": str(self.seconds)}
        with replace_atomically(self.checkpoint) as temporary:
            save_file(tensors, temporary, metadata=metadata)

    def _resume(self) -> None:
        try:
            with safe_open(self.checkpoint, framework="pt") as stored:
                metadata = stored.metadata() or {}
                tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
        except SafetensorError as error:
            raise ModelError(
                f"the checkpoint {self.checkpoint} is not a whole safetensors file ({one_line(error)}); "
                "remove it to start again"
            ) from error
        for key, mine in self._identity.items():
            if metadata.get(key) != mine:
                raise ModelError(
                    f"the checkpoint {self.checkpoint} was made with other {key}: {metadata.get(key)}, now {mine}; "
                    "remove it to start again, or restore what it was made with"
                )
        network = self.classifier.network
        network.load_state_dict({n.removeprefix("network."): t for n, t in tensors.items() if n.startswith("network.")})
        for name, parameter in network.named_parameters():
            buffer = tensors[f"momentum.{name}"].to(parameter.device)
            self._optimizer.state[parameter]["momentum_buffer"] = buffer
        self.epoch = int(metadata["epoch"])
        self.seconds = float(metadata["seconds"])


def robust_accuracy(
    classifier: Classifier, data: LabelledImages, attack: AdversarialTraining, *, seed: int = 0, batch_size: int = 250
) -> float:
    """Share of images whose most likely label is still their own after they were perturbed."""
    generator = torch.Generator().manual_seed(seed)
    correct = 0
    for images, labels in zip(torch.split(data.images, batch_size), torch.split(data.labels, batch_size), strict=True):
        truth = labels.to(classifier.device)
        moved = perturbed(classifier, images.to(classifier.device).float() / 255, truth, attack, generator)
        with torch.no_grad():
            correct += int((classifier(moved).logits.argmax(1) == truth).sum())
    return correct / len(data)


@torch.no_grad()
def accuracy(classifier: Classifier, data: LabelledImages, *, batch_size: int = 500) -> float:
    """Share of images whose most likely label is their own."""
    correct = 0
    for images, labels in zip(torch.split(data.images, batch_size), torch.split(data.labels, batch_size), strict=True):
        logits = classifier(images.to(classifier.device).float() / 255).logits
        correct += int((logits.argmax(1).cpu() == labels).sum())
    return correct / len(data)
