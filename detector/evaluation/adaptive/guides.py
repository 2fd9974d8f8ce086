"""Images that an attacker may imitate: they pass for a label, and the detector lets them."""

import torch
from torch import Tensor

from detector.detector import Detector
from detector.types import LabelledImages, to_pixels

MOST_OF_A_KIND = 8
"""Prototypes, and clean images, that are tried for each label."""


def guides_for(detector: Detector, clean: LabelledImages, labels: Tensor) -> dict[int, Tensor]:
    """By label, its prototypes and clean images that the detector lets pass as that label, on the classifier's device.

    Args:
        labels: those that guides are wanted for; one that nothing passes for has none.
    """
    prototypes, found = detector.bundle.prototypes.images, {}
    for label in sorted(set(labels.tolist())):
        of_label = to_pixels(clean.images[clean.labels == label][:MOST_OF_A_KIND])
        tried = torch.cat([to_pixels(prototypes[label][:MOST_OF_A_KIND]), of_label])
        verdicts = detector.inspect(tried)
        passed = [v.p_value is not None and v.p_value > detector.false_positive_rate for v in verdicts]
        named = [verdict.label == label for verdict in verdicts]
        kept = tried[torch.tensor(passed, dtype=torch.bool) & torch.tensor(named, dtype=torch.bool)]
        if len(kept):
            found[label] = kept.to(detector.classifier.device)
    return found
