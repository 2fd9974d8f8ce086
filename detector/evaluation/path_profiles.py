"""Every potential along paths, from one pass of the classifier a point."""

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from detector.detector import Detector
from detector.passes import waypoints_per_pass
from detector.search import PotentialKind, label_potential
from detector.types import Waypoints


@torch.no_grad()
def profiles_of(
    detector: Detector, points: Waypoints, labels: Int64[Tensor, " path"]
) -> dict[PotentialKind, Float[Tensor, "path point"]]:
    """Measure every potential of each path's label at its points; on the CPU, in each potential's own unit."""
    classifier, n_points = detector.classifier, points.shape[1]
    point_labels = labels.repeat_interleave(n_points)
    potentials = {kind: label_potential(kind, classifier, labels, detector.bundle.gaussians) for kind in PotentialKind}
    found: dict[PotentialKind, list[Tensor]] = {kind: [] for kind in PotentialKind}
    per_pass = waypoints_per_pass(classifier.input_shape)
    for part, part_labels in zip(
        torch.split(points.flatten(0, 1), per_pass), torch.split(point_labels, per_pass), strict=True
    ):
        outputs = classifier(part)
        for kind, potential in potentials.items():
            found[kind].append(potential.measure(outputs, part_labels).cpu())
    return {kind: torch.cat(values).view(len(points), n_points) for kind, values in found.items()}
