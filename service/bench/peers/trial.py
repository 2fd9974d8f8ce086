"""The images that peers are measured with, which nothing was fitted on, and how well a peer tells them apart."""

import dataclasses
from collections.abc import Mapping

import numpy as np
import torch
from numpy import ndarray
from torch import Generator

from detector.bundle import Bundle
from detector.calibration.splits import without_digests
from detector.calibration.stream import correctly_classified
from detector.evaluation.attacked import AttackedImages, run_attack
from detector.evaluation.attacks import MissingExtraError, specs_named
from detector.evaluation.metrics import auroc, auroc_estimate
from detector.passes import waypoints_per_pass
from detector.types import CalibrationError, Classifier, Images, LabelledImages, ProgressCallback, to_pixels
from service.bench.peers.peer import Peer
from service.errors import InputError

ATTACKS = "fast"
"""The suite of attacks: FGSM 8/255, PGD 2/255 and 8/255, DeepFool, C&W and Square 8/255."""

MEAN = "mean"

N_RESAMPLES = 300


@dataclasses.dataclass(frozen=True, kw_only=True)
class Trial:
    """What is to be told apart.

    Attributes:
        clean: images that the classifier gets right, of which no calibration has seen any.
        attacked: what fools it, by the name of the attack; each made of one of the clean images.
    """

    clean: Images
    attacked: Mapping[str, Images]


def make_trial(
    classifier: Classifier,
    bundle: Bundle,
    data: LabelledImages,
    n_clean: int,
    n_attacked: int,
    progress: ProgressCallback,
    *,
    attacks: str = ATTACKS,
    seed: int = 0,
) -> Trial:
    """Attack some of the images that the bundle's calibration has not seen; one seed gives one trial.

    Args:
        data: images with labels, others that calibration has seen among them.
        n_clean: images, at most.
        n_attacked: of these, that each attack is tried on, at most; its failures do not count.
        attacks: names of suites and attacks, with commas between them.

    Raises:
        InputError: all images were seen in calibration, no attack succeeds, or torchattacks is missing.
        AttackError: there is no such attack.
    """
    clean = _unseen(classifier, bundle, data, Generator().manual_seed(seed))[:n_clean]
    attacked = _attacked(classifier, clean[:n_attacked], attacks, seed, progress)
    return Trial(clean=to_pixels(clean.images), attacked=attacked)


def _unseen(classifier: Classifier, bundle: Bundle, data: LabelledImages, generator: Generator) -> LabelledImages:
    """Images in random order, since sets often come sorted by label."""
    unseen = without_digests(data, bundle.used_digests)
    try:
        clean, _ = correctly_classified(classifier, unseen, waypoints_per_pass(classifier.input_shape))
    except CalibrationError as error:
        raise InputError(
            f"of {len(data)} images, {len(data) - len(unseen)} were used in the bundle's calibration, and the "
            "classifier gets hardly any of the rest right; give images that calibration has not seen "
            "(isthmus calibrate --reserve keeps some)"
        ) from error
    return clean[torch.randperm(len(clean), generator=generator)]


def _attacked(
    classifier: Classifier, clean: LabelledImages, attacks: str, seed: int, progress: ProgressCallback
) -> dict[str, Images]:
    try:
        specs = specs_named(attacks)
    except MissingExtraError as error:
        raise InputError(f"{error}; the attacks of the suite builtin need nothing else") from error
    chunk = waypoints_per_pass(classifier.input_shape)
    made = {spec.name: run_attack(spec, classifier, clean, seed=seed, chunk=chunk, progress=progress) for spec in specs}
    found = {name: one.images for name, one in made.items() if isinstance(one, AttackedImages) and len(one.images)}
    if not found:
        raise InputError(f"none of {len(specs)} attacks on {len(clean)} images fooled the classifier; attack more")
    return found


def auroc_of(peer: Peer, trial: Trial, seed: int = 0) -> dict[str, tuple[float, float, float]]:
    """AUROC against each attack and their mean, each with its 95 % bootstrap interval.

    Of a peer that takes few images, half of them are clean and the others come from the attacks in turn; of these
    there is one figure for all attacks together, under `mean`. What is no number counts as most adversarial.
    """
    if peer.n_images is not None:
        half = peer.n_images // 2
        clean, together = _scored(peer, trial.clean[:half]), _scored(peer, _in_turn(trial.attacked, half))
        return {MEAN: _interval(clean, together, seed)}
    clean = _scored(peer, trial.clean)
    attacked = {name: _scored(peer, images) for name, images in trial.attacked.items()}
    by_attack = {name: _interval(clean, scores, seed) for name, scores in attacked.items()}
    return by_attack | {MEAN: _mean_interval(clean, attacked, seed)}


def _scored(peer: Peer, images: Images) -> ndarray:
    scores = peer.scores(images).double().numpy()
    return np.where(np.isnan(scores), np.inf, scores)


def _in_turn(attacked: Mapping[str, Images], n_images: int) -> Images:
    """One image of each attack in turn, each another one, since attacks share their source images."""
    parts = list(attacked.values())
    turns = [parts[number % len(parts)] for number in range(n_images)]
    return torch.stack([images[number % len(images)] for number, images in enumerate(turns)])


def _interval(clean: ndarray, attacked: ndarray, seed: int) -> tuple[float, float, float]:
    found = auroc_estimate(clean, attacked, seed, N_RESAMPLES)
    return found.value, found.lower, found.upper


def _mean_interval(clean: ndarray, attacked: Mapping[str, ndarray], seed: int) -> tuple[float, float, float]:
    """All attacks meet the same resampled clean images."""
    random = np.random.default_rng(seed)
    resampled = []
    for _ in range(N_RESAMPLES):
        drawn = random.choice(clean, len(clean))
        resampled.append(np.mean([auroc(drawn, random.choice(one, len(one))) for one in attacked.values()]))
    lower, upper = np.quantile(resampled, [0.025, 0.975])
    return float(np.mean([auroc(clean, one) for one in attacked.values()])), float(lower), float(upper)
