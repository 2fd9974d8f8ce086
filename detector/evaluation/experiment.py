"""One run: attack images that calibration never saw, and judge them with one or more detectors of one classifier."""

import dataclasses
from collections.abc import Mapping

import torch
from torch import Tensor

from detector.calibration.splits import image_digests
from detector.detector import Detector
from detector.evaluation.attacked import AttackedImages, attack_all
from detector.evaluation.attacks import Attack
from detector.evaluation.results import DetectorFigures, Judgement, evaluate_detector
from detector.passes import waypoints_per_pass
from detector.types import Classifier, ImageError, LabelledImages, ProgressCallback, no_progress, to_pixels


@dataclasses.dataclass(frozen=True, kw_only=True)
class Experiment:
    """What was run and what came out.

    Attributes:
        clean: correctly classified images; false positives are counted on all of them, attacks run on the first ones.
        misclassified: natural images that the classifier gets wrong.
        n_seen: images left out because a bundle's calibration had seen them.
        figures: by name of the detector, in the order given.
        judgements: by name of the detector, then by attack and `clean`.
    """

    clean: LabelledImages
    misclassified: LabelledImages
    n_seen: int
    attacked: Mapping[str, AttackedImages]
    figures: Mapping[str, DetectorFigures]
    judgements: Mapping[str, Mapping[str, Judgement]]

    @property
    def accuracy(self) -> float:
        """Share of the images left that the classifier gets right."""
        return len(self.clean) / (len(self.clean) + len(self.misclassified))


def run_experiment(
    detectors: Mapping[str, Detector],
    data: LabelledImages,
    attacks: Mapping[str, Attack],
    *,
    limit: int,
    seed: int,
    progress: ProgressCallback = no_progress,
) -> Experiment:
    """Judge clean and attacked images with every detector; all see the same images.

    Args:
        detectors: by name; all of one classifier.
        limit: clean images that each attack is run on, at most.

    Raises:
        ImageError: nothing is left to evaluate on.
    """
    classifier = next(iter(detectors.values())).classifier
    chunk = waypoints_per_pass(classifier.input_shape)
    unseen = _unseen(data, detectors)
    is_correct = _correct(classifier, unseen, chunk)
    clean, misclassified = _dealt(unseen[is_correct]), unseen[~is_correct]
    if len(clean) == 0:
        raise ImageError(
            f"of {len(data)} images, {len(data) - len(unseen)} were used in calibration and none of the rest is "
            "classified correctly; give images that calibration has not seen (isthmus calibrate --reserve keeps some)"
        )
    attacked = attack_all(attacks, classifier, clean[:limit], seed=seed, chunk=chunk, progress=progress)
    figures, judgements = {}, {}
    for name, detector in detectors.items():
        figures[name], judgements[name] = evaluate_detector(
            name,
            detector,
            clean=clean,
            misclassified=misclassified,
            attacked=attacked,
            seed=seed,
            progress=progress,
        )
    return Experiment(
        clean=clean,
        misclassified=misclassified,
        n_seen=len(data) - len(unseen),
        attacked=attacked,
        figures=figures,
        judgements=judgements,
    )


def _unseen(data: LabelledImages, detectors: Mapping[str, Detector]) -> LabelledImages:
    """The images that no bundle's calibration had, by the record of digests that each bundle keeps."""
    seen: set[bytes] = set()
    for detector in detectors.values():
        seen |= {bytes(row) for row in detector.bundle.used_images.tolist()}
    kept = [index for index, digest in enumerate(image_digests(data.images)) if digest not in seen]
    return data[torch.tensor(kept, dtype=torch.int64)]


def _dealt(data: LabelledImages) -> LabelledImages:
    """Images that come sorted by label, as folders of classes do, dealt out so that the first ones hold every label."""
    if not (data.labels.diff() >= 0).all():
        return data
    seen: dict[int, int] = {}
    turns = []
    for label in data.labels.tolist():
        seen[label] = seen.get(label, 0) + 1
        turns.append(seen[label])
    return data[torch.tensor(turns).argsort(stable=True)]


@torch.no_grad()
def _correct(classifier: Classifier, data: LabelledImages, chunk: int) -> Tensor:
    predicted = [
        classifier(to_pixels(part, classifier.device)).logits.argmax(1).cpu()
        for part in torch.split(data.images, chunk)
    ]
    return torch.cat(predicted) == data.labels if predicted else torch.zeros(0, dtype=torch.bool)
