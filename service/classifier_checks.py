"""A first look at a classifier that somebody brings: whether held-out images reach it as those it was trained on did.

A network that is fed wrongly still answers, and a bundle calibrated for it would be worth nothing. So images with known
labels are shown to it as its spec says and in the ways that specs get wrong; where one of these is right on images that
the spec's is not, beyond what chance allows, it is named.
"""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from numpy import ndarray
from scipy.optimize import linear_sum_assignment
from scipy.stats import binom
from torch import Tensor

from detector.passes import waypoints_per_pass
from detector.types import LabelledImages, to_pixels
from models.classifier import Classifier
from models.loaded import LoadedClassifier
from models.registry import names
from service.errors import InputError
from service.imagesets.selection import evenly_spread

MOST_IMAGES = 256
FEWEST_IMAGES = 50
"""Fewer tell nothing, and nothing is said of them."""
FEWEST_TO_CALL_CHANCE = 200
"""Of fewer a weak classifier of two labels may look like chance."""

LEVEL = 0.001
"""Chance of naming something where nothing is wrong, over all that is tried together."""

_MOST_TRIED = 7
"""Five normalisations, another order of channels, another order of labels."""

_NO_BETTER = (
    "which is no better than chance; look whether its labels are in the order of its logits, whether the images carry "
    "the labels that are meant, and whether mean, std and input_size are those it was trained with"
)
_IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))

Right = Bool[ndarray, " image"]
Predicted = Int64[ndarray, " image"]
Pixels = Float[Tensor, "image channel height width"]
_Normalisation = tuple[Sequence[float], Sequence[float]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class FirstLook:
    """What some held-out images say about a classifier.

    Attributes:
        n_images: that were looked at.
        accuracy: share of them that it gets right, fed as its spec says.
        suspicion: what seems to be wrong and what to do about it; None where nothing does.
    """

    n_images: int
    accuracy: float
    suspicion: str | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Reading:
    """Another way in which images may be meant to reach the network.

    Attributes:
        feed: from pixels in [0, 1] to what the network is to see.
        advice: what it would mean, and what to put into the spec.
    """

    feed: Callable[[Pixels], Pixels]
    advice: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Finding:
    """What does better than the spec: a reading, or another order of the labels."""

    accuracy: float
    advice: str


def require_sound(
    name_or_spec: str, loaded: LoadedClassifier, held_out: LabelledImages, weights: Path | None = None
) -> None:
    """Refuse a classifier that seems to be fed wrongly, before anything long is begun.

    Args:
        name_or_spec: what it was loaded by; registered classifiers with their own weights are known.
        weights: the file that was taken in place of its own weights.

    Raises:
        InputError: another normalisation, order of channels or order of labels is right where the spec's is not, or
            the classifier is no better than chance.
    """
    is_known = name_or_spec in names() and weights is None
    suspicion = None if is_known else first_look(loaded, held_out).suspicion
    if suspicion is not None:
        raise InputError(suspicion)


def first_look(loaded: LoadedClassifier, held_out: LabelledImages) -> FirstLook:
    """Try the classifier on at most 256 images, evenly spread, as its spec says and otherwise."""
    data = held_out[torch.from_numpy(evenly_spread(len(held_out), MOST_IMAGES))]
    truth = data.labels.numpy()
    classifier = loaded.classifier
    predicted = _predicted(classifier, data, partial(_normalised, mean=classifier.mean, std=classifier.std))
    accuracy = float((predicted == truth).mean())
    if len(data) < FEWEST_IMAGES:
        return FirstLook(n_images=len(data), accuracy=accuracy, suspicion=None)
    better = [
        *_better_readings(classifier, data, predicted),
        *_better_order(classifier.labels, predicted, truth),
    ]
    share = f"{loaded.name} gets {accuracy:.0%} of {len(data)} held-out images right as its spec has it"
    suspicion = None
    if better:
        best = max(better, key=lambda finding: finding.accuracy)
        suspicion = f"{share}, and {best.accuracy:.0%} {best.advice}"
    elif len(data) >= FEWEST_TO_CALL_CHANCE and _is_chance(predicted, truth, len(classifier.labels)):
        suspicion = f"{share}, {_NO_BETTER}"
    return FirstLook(n_images=len(data), accuracy=accuracy, suspicion=suspicion)


def _better_readings(classifier: Classifier, data: LabelledImages, predicted: Predicted) -> Iterator[_Finding]:
    """Readings that are significantly better; each is tried on the failures first, which are few."""
    truth = data.labels.numpy()
    right = predicted == truth
    failures, successes = np.flatnonzero(~right), np.flatnonzero(right)
    for reading in _readings(classifier):
        read = predicted.copy()
        read[failures] = _predicted(classifier, data[torch.from_numpy(failures)], reading.feed)
        if not _is_significant(read == truth, right):
            continue
        read[successes] = _predicted(classifier, data[torch.from_numpy(successes)], reading.feed)
        if _is_significant(read == truth, right) and not _is_chance(read, truth, len(classifier.labels)):
            yield _Finding(accuracy=float((read == truth).mean()), advice=reading.advice)


def _readings(classifier: Classifier) -> list[_Reading]:
    mean, std = classifier.mean, classifier.std
    given = _numbers(mean), _numbers(std)
    readings = []
    for (means, stds), advice in _normalisations(given, classifier.input_shape[0]):
        other_mean, other_std = torch.tensor(means).view_as(mean).to(mean), torch.tensor(stds).view_as(std).to(std)
        if not (torch.allclose(other_mean, mean, atol=0.02) and torch.allclose(other_std, std, rtol=0.1)):
            tried_with = f"with mean = {_shown(means)} and std = {_shown(stds)}"
            said = f"{tried_with}: {advice}; put into the spec what it was trained with"
            readings.append(_Reading(feed=partial(_normalised, mean=other_mean, std=other_std), advice=said))
    if len(mean.flatten()) == 3:
        said = (
            "with blue first: it seems to take its channels in the order BGR; turn them round in its factory "
            "(`images.flip(1)`), or export it anew with that in front"
        )
        readings.append(_Reading(feed=lambda pixels: _normalised(pixels, mean, std).flip(1), advice=said))
    return readings


def _normalised(pixels: Pixels, mean: Tensor, std: Tensor) -> Pixels:
    return (pixels - mean) / std


def _normalisations(given: _Normalisation, n_channels: int) -> list[tuple[_Normalisation, str]]:
    """Means and standard deviations that may be meant instead of those given, and what each would mean."""
    zeros, ones, halves = [0.0] * n_channels, [1.0] * n_channels, [0.5] * n_channels
    tried: list[tuple[_Normalisation, str]] = [
        ((zeros, ones), "it seems to normalise its images itself, so that they are normalised twice"),
        ((zeros, [1 / 255] * n_channels), "it seems to take pixels from 0 to 255"),
        ((halves, halves), "it seems to take pixels from -1 to 1"),
    ]
    if n_channels == 3:
        tried.append((_IMAGENET, "it seems to have been trained with the usual normalisation of ImageNet"))
    if max(*given[0], *given[1]) > 1:
        scaled = [value / 255 for value in given[0]], [value / 255 for value in given[1]]
        tried.append((scaled, "mean and std seem to be those of pixels from 0 to 255"))
    return tried


@torch.no_grad()
def _predicted(classifier: Classifier, data: LabelledImages, feed: Callable[[Pixels], Pixels]) -> Predicted:
    parts = [np.zeros(0, dtype=np.int64)]
    for part in torch.split(data.images, waypoints_per_pass(classifier.input_shape)):
        wanted = feed(to_pixels(part, classifier.device))
        # The classifier normalises whatever it gets, which is undone beforehand: any network behind it will do.
        logits = classifier(wanted * classifier.std + classifier.mean).logits
        parts.append(logits.argmax(1).cpu().numpy())
    return np.concatenate(parts)


def _better_order(labels: Sequence[str], predicted: Predicted, truth: Predicted) -> Iterator[_Finding]:
    """Another order of the labels, read off half of the images, where it is significantly better on the other half."""
    learning, trial = slice(0, None, 2), slice(1, None, 2)
    counts = np.zeros((len(labels), len(labels)))
    np.add.at(counts, (predicted[learning], truth[learning]), 1)
    # What was never seen stays where it is.
    _, meant = linear_sum_assignment(counts + 1e-3 * np.eye(len(labels)), maximize=True)
    right, reordered = (answers[trial] == truth[trial] for answers in (predicted, meant[predicted]))
    if not _is_significant(reordered, right):
        return
    changed = sorted(np.flatnonzero(meant != np.arange(len(labels))), key=lambda label: -counts[label, meant[label]])
    names = [(labels[int(label)], labels[int(meant[label])]) for label in changed[:3]]
    shown = ", ".join(f"what it calls {called!r} is {true!r}" for called, true in names)
    advice = (
        f"of half of them with its labels in another order ({shown}); name them in the spec in the order of the "
        "logits, or give the images the labels that are meant"
    )
    yield _Finding(accuracy=float(reordered.mean()), advice=advice)


def _is_significant(right: Right, before: Right) -> bool:
    """McNemar's exact test, one-sided: of the images on which two readings differ, too many are gained for chance."""
    n_gained, n_lost = int((right & ~before).sum()), int((before & ~right).sum())
    return bool(binom.sf(n_gained - 1, n_gained + n_lost, 0.5) <= LEVEL / _MOST_TRIED)


def _is_chance(predicted: Predicted, truth: Predicted, n_labels: int) -> bool:
    """Whether as many would be right if predictions were dealt out to the images at random."""
    n_images = len(truth)
    shares = (np.bincount(labels, minlength=n_labels) / n_images for labels in (predicted, truth))
    by_chance = float(np.prod(list(shares), axis=0).sum()) if len(np.unique(truth)) > 1 else 1 / n_labels
    n_right = int((predicted == truth).sum())
    return bool(binom.sf(n_right - 1, n_images, by_chance) > 0.05)


def _numbers(values: Tensor) -> list[float]:
    numbers: list[float] = values.flatten().tolist()
    return numbers


def _shown(values: Sequence[float]) -> str:
    return "[" + ", ".join(f"{value:.4g}" for value in values) + "]"
