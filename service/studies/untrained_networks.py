"""Untrained classifiers with logits that can be read, and inputs that they take for a label."""

import dataclasses
import enum

import torch
from jaxtyping import Float, Int64
from torch import Generator, Tensor, nn

from detector.potentials import cross_entropy
from detector.prototypes.synthesis import from_spectrum
from detector.types import Classifier as DetectorClassifier
from detector.types import Images, Labels
from models.classifier import Classifier, Outputs
from models.files import tensor_digest
from models.registry import RegisteredClassifier

NOISE_STRENGTH = 0.2
"""Standard deviation of the frequencies of noise inputs; half their pixels then lie between about .33 and .67."""

RATE = 0.05
"""Adam's, in frequencies."""


class Reading(enum.StrEnum):
    """What is done to an untrained network before it is asked; the weights stay as they were drawn.

    INITIAL has means 0 and variances 1 in its batch norms, so that each layer shrinks the signal. NORMALISED has those
    of noise inputs, as a first forward pass in training would have them. Both have their logits centred and divided
    by their standard deviation over noise inputs, without which the loss is ln 10 within a few hundredths wherever
    one looks. The logits of SHARP are larger by four.
    """

    INITIAL = "initial"
    NORMALISED = "normalised"
    SHARP = "sharp"


_SHARPNESS = {Reading.INITIAL: 1.0, Reading.NORMALISED: 1.0, Reading.SHARP: 4.0}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Standardised:
    """A classifier with its logits centred and scaled.

    Attributes:
        centre: of each logit over noise inputs.
        spread: standard deviation of the centred logits there.
        sharpness: what the standard deviation is made to be.
    """

    classifier: Classifier
    centre: Float[Tensor, " label"]
    spread: float
    sharpness: float

    @property
    def labels(self) -> tuple[str, ...]:
        return self.classifier.labels

    @property
    def input_shape(self) -> tuple[int, int, int]:
        return self.classifier.input_shape

    @property
    def device(self) -> torch.device:
        return self.classifier.device

    def __call__(self, pixels: Images, /) -> Outputs:
        """Scaled logits and the representations as they are."""
        outputs: Outputs = self.classifier(pixels)
        logits = (outputs.logits - self.centre) * (self.sharpness / self.spread)
        return Outputs(logits, outputs.representations)

    def digest(self) -> str:
        """sha256 over weights and scaling."""
        weights = torch.frombuffer(bytearray(self.classifier.digest().encode()), dtype=torch.uint8)
        return tensor_digest([weights, self.centre, torch.tensor([self.spread, self.sharpness])])


def noise_inputs(n_inputs: int, shape: tuple[int, int, int], generator: Generator) -> Images:
    """Noise in which coarse shapes are stronger than fine grain."""
    return from_spectrum(_noise_spectrum(n_inputs, shape, generator), shape[1:])


def standardised(entry: RegisteredClassifier, reading: Reading, seed: int, noise: Images) -> Standardised:
    """The untrained classifier of this seed, read over these inputs; pixels stay on the CPU."""
    network = entry.untrained(seed)
    if reading is not Reading.INITIAL:
        take_batch_statistics(network, noise)
    classifier = network.folded()
    logits = logits_of(classifier, noise)
    centred = logits - logits.mean(0)
    return Standardised(
        classifier=classifier,
        centre=logits.mean(0),
        spread=centred.std().item(),
        sharpness=_SHARPNESS[reading],
    )


@torch.no_grad()
def take_batch_statistics(classifier: Classifier, inputs: Images) -> None:
    """Give every batch norm the mean and variance of its inputs in one forward pass in training mode."""
    norms = [module for module in classifier.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.reset_running_stats()
        # A running average that is no average: the one batch counts alone.
        norm.momentum = None
        norm.train()
    classifier(inputs)
    for norm in norms:
        norm.eval()


@torch.no_grad()
def logits_of(classifier: Classifier, inputs: Images) -> Float[Tensor, "input label"]:
    """Logits of many inputs, a few at a time."""
    return torch.cat([classifier(part).logits for part in torch.split(inputs, 128)])


def optimised_inputs(
    classifier: DetectorClassifier, labels: Labels, *, low: float, most_steps: int, generator: Generator
) -> tuple[Images, Float[Tensor, " input"]]:
    """One input for each label, from noise, whose frequencies Adam moves until the cross-entropy is at most `low`.

    Each input stops where it gets there. Also gives the loss that each ended with, which may be higher than `low`
    after `most_steps`.
    """
    size = classifier.input_shape[1:]
    spectrum = _noise_spectrum(len(labels), classifier.input_shape, generator).requires_grad_(True)
    optimizer = torch.optim.Adam([spectrum], lr=RATE)
    inputs, losses = from_spectrum(spectrum.detach(), size), torch.full((len(labels),), torch.inf)
    for _ in range(most_steps):
        candidates = from_spectrum(spectrum, size)
        now = cross_entropy(classifier(candidates).logits, labels)
        is_open = losses > low
        inputs[is_open], losses[is_open] = candidates.detach()[is_open], now.detach()[is_open]
        if not (losses > low).any():
            break
        optimizer.zero_grad()
        now.sum().backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return inputs, losses


def paired_labels(n_pairs: int, n_labels: int) -> Int64[Tensor, " pair"]:
    """Labels of pairs, taking turns."""
    return torch.arange(n_pairs) % n_labels


def _noise_spectrum(n_inputs: int, shape: tuple[int, int, int], generator: Generator) -> Tensor:
    channels, height, width = shape
    return NOISE_STRENGTH * torch.randn(n_inputs, channels, height, width // 2 + 1, 2, generator=generator)
