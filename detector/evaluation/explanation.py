"""Why one image got its verdict: what the paths show, before and after a search for lower ones, as values.

Nothing here decides; the verdict is `Detector.inspect`'s. What is shown beside it is measured anew, at more points.
"""

import dataclasses

import torch
from jaxtyping import Float
from torch import Tensor

from detector.detector import Detector
from detector.evaluation.connection import Connection, ExplanationSettings, Picture, join
from detector.evaluation.standings import LabelStanding, PrototypeLink, label_standings, prototype_links, runner_up
from detector.types import DetectorError, ImageError, ProgressCallback, no_progress
from detector.verdict import Verdict

__all__ = ["Explanation", "ExplanationSettings", "explain"]

Target = Float[Tensor, "target_channel target_height target_width"]
"""An image to lead a path to, not yet known to have the right shape."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Explanation:
    """Everything there is to say about one image.

    Attributes:
        image: what was judged, pixels in [0, 1].
        n_calibration: clean images that the p-value compares with.
        runner_up: the label with the strongest claim besides the predicted one; the suspected label of a flagged image.
            None where no claim is a number.
        standings: labels by the strength of their claim, the predicted one first.
        prototypes: those of the predicted label, of the runner-up and of the label asked for, nearest first in each.
        connection: None where the bundle has no prototype of the predicted label and no other target was named.
    """

    verdict: Verdict
    image: Picture
    settings: ExplanationSettings
    n_calibration: int
    runner_up: int | None
    standings: tuple[LabelStanding, ...]
    prototypes: tuple[PrototypeLink, ...]
    connection: Connection | None


def explain(
    detector: Detector,
    image: Picture,
    *,
    to: int | Target | None = None,
    settings: ExplanationSettings | None = None,
    progress: ProgressCallback = no_progress,
) -> Explanation:
    """Judge one image, and look at the path from it to a target.

    Args:
        to: a label, whose lowest prototype is the target; an image; or nothing for the predicted label.

    Raises:
        ImageError: the image, or the one it is to be joined to, does not fit the classifier.
        DetectorError: there is no such label, or the bundle has no prototype of it.
    """
    settings = settings or ExplanationSettings()
    verdict = detector.inspect(image[None])[0]
    image = image.to(device=detector.classifier.device, dtype=torch.float32)
    with torch.no_grad():
        # Whoever asks why wants to see the paths, also of an image that left before they were measured.
        paths = detector.straight_paths.complete(image[None]).paths
    if isinstance(to, Tensor):
        _check_target(image, to)
    elif to is not None:
        _check_label(detector, to)
    standings = label_standings(detector, paths)
    second = runner_up(standings)
    progress("explaining", 1, 4)
    asked = to if isinstance(to, int) else None
    wanted = [label for label in (verdict.label, second, asked) if label is not None]
    links = [
        link
        for label in dict.fromkeys(wanted)
        for link in prototype_links(detector, image, label, settings.potential, settings.search.final_resolution + 1)
    ]
    progress("explaining", 2, 4)
    connection = _connection(detector, image, verdict.label, to, links, settings)
    progress("explaining", 4, 4)
    return Explanation(
        verdict=verdict,
        image=image.cpu(),
        settings=settings,
        n_calibration=len(detector.bundle.conformal.scores),
        runner_up=second,
        standings=standings,
        prototypes=tuple(links),
        connection=connection,
    )


def _check_target(image: Picture, target: Target) -> None:
    if target.shape != image.shape:
        raise ImageError(
            f"the target has shape {tuple(target.shape)} and the image {tuple(image.shape)}; give both the same shape"
        )
    if not ((target >= 0) & (target <= 1)).all():
        raise ImageError("the target has pixels outside [0, 1]; give them in [0, 1], before any normalisation")


def _check_label(detector: Detector, label: int) -> None:
    n_labels = len(detector.classifier.labels)
    if not 0 <= label < n_labels:
        raise DetectorError(f"there is no label {label}; they go from 0 to {n_labels - 1}")
    prototypes = detector.bundle.prototypes
    if prototypes.n_prototypes == 0 or not prototypes.available[label]:
        raise DetectorError(
            f"the bundle has no prototype of label {label} ({detector.classifier.labels[label]}); "
            "name another label, or calibrate with images of that one"
        )


def _connection(
    detector: Detector,
    image: Picture,
    predicted: int,
    to: int | Picture | None,
    links: list[PrototypeLink],
    settings: ExplanationSettings,
) -> Connection | None:
    if isinstance(to, Tensor):
        return join(detector, image, to, predicted, None, settings)
    label = predicted if to is None else to
    candidates = [link for link in links if link.label == label]
    if not candidates:
        return None
    lowest = min(candidates, key=lambda link: torch.tensor(link.barrier).nan_to_num(nan=torch.inf).item())
    return join(detector, image, lowest.picture, label, lowest.prototype, settings)
