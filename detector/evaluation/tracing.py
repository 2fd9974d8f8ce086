"""Follows single paths at many points, for people to look at."""

import dataclasses
from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor

from detector.detector import Detector
from detector.paths import straight_paths
from detector.potentials import cross_entropy, margin, pooled
from detector.types import Images, to_pixels

N_POINTS = 13


@dataclasses.dataclass(frozen=True, kw_only=True)
class Trace:
    """Straight paths from some images to one prototype each.

    Attributes:
        mixing: shape (point,), from 0 at the image to 1 at the prototype.
        waypoints: shape (path, point, channel, height, width), pixels in [0, 1].
        potentials: by name with unit, each of shape (path, point).
    """

    mixing: Float[Tensor, " point"]
    waypoints: Float[Tensor, "path point channel height width"]
    potentials: Mapping[str, Float[Tensor, "path point"]]


@torch.no_grad()
def trace(detector: Detector, images: Images, labels: Tensor, prototypes: Tensor, n_points: int = N_POINTS) -> Trace:
    """Measure every potential along the paths to the chosen prototypes.

    Args:
        labels: predicted label of each image.
        prototypes: which prototype of that label the path ends at.
    """
    classifier, bundle = detector.classifier, detector.bundle
    mixing = torch.linspace(0, 1, n_points)
    ends = to_pixels(bundle.prototypes.images[labels, prototypes])
    waypoints = straight_paths(images.cpu(), ends, mixing)
    name, gaussians = [(name, fit) for name, fit in bundle.gaussians.items() if name != "logits"][-1]
    columns: dict[str, list[Tensor]] = {}
    for points, label in zip(waypoints, labels, strict=True):
        outputs = classifier(points.to(classifier.device))
        point_labels = label.expand(n_points)
        logits = outputs.logits.cpu()
        distances = gaussians.log_distances(pooled(outputs.representations[name]).cpu())
        found = {
            "cross-entropy, nats": cross_entropy(logits, point_labels),
            "margin, logits": margin(logits, point_labels),
            f"distance of {name}, log": distances.gather(1, point_labels[:, None])[:, 0],
        }
        for potential, values in found.items():
            columns.setdefault(potential, []).append(values)
    return Trace(
        mixing=mixing,
        waypoints=waypoints,
        potentials={potential: torch.stack(values) for potential, values in columns.items()},
    )
