"""The statistic of Vrabel et al. 2025 (arXiv 2409.05800): the highest cross-entropy on straight paths, unsearched.

The paper joins an image to real images of the class; here to the bundle's prototypes, which are what is at hand.
"""

import dataclasses

import torch
from jaxtyping import Float
from torch import Tensor

from detector.bundle import Bundle
from detector.passes import images_per_pass
from detector.paths import straight_paths
from detector.potentials import cross_entropy
from detector.types import Classifier, Images, Labels, Prototypes, chosen_pixels

WAYPOINTS = 8
"""Evenly spaced ones between image and prototype."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class LinearBarrier:
    """Highest cross-entropy of the predicted label on each path, both ends included; the mean over prototypes, in nats.

    Attributes:
        ends: cross-entropy of each prototype for its own label.
        mixing: mixing weights of the interior waypoints.
    """

    classifier: Classifier
    prototypes: Prototypes
    ends: Float[Tensor, "label prototype"]
    mixing: Float[Tensor, " waypoint"]
    name: str = "barrier"
    title: str = "Highest cross-entropy on straight paths to the bundle's prototypes (Vrabel et al. 2025)"

    @property
    def forward_equivalents(self) -> float:
        """The image and all interior waypoints; the prototypes are known."""
        return 1.0 + self.prototypes.shape[1] * len(self.mixing)

    def measure(self, images: Images) -> Float[Tensor, " image"]:
        """One forward pass an image, and one a waypoint of each of its paths."""
        logits = self.classifier(images).logits
        labels = logits.argmax(1)
        chunk = images_per_pass(self.classifier.input_shape, self.prototypes.shape[1] * len(self.mixing))
        parts = zip(torch.split(images, chunk), torch.split(labels, chunk), strict=True)
        interior = torch.cat([self._highest_inside(part, own) for part, own in parts])
        start = cross_entropy(logits, labels)[:, None].expand_as(interior)
        return torch.stack([start, interior, self.ends[labels]]).amax(0).mean(1)

    def _highest_inside(self, images: Images, labels: Labels) -> Float[Tensor, "image prototype"]:
        n_prototypes, n_waypoints = self.prototypes.shape[1], len(self.mixing)
        starts = images.repeat_interleave(n_prototypes, 0)
        waypoints = straight_paths(starts, chosen_pixels(self.prototypes, labels).flatten(0, 1), self.mixing)
        logits = self.classifier(waypoints.flatten(0, 1)).logits
        found = cross_entropy(logits, labels.repeat_interleave(n_prototypes * n_waypoints))
        return found.view(len(images), n_prototypes, n_waypoints).amax(2)


def linear_barrier(classifier: Classifier, bundle: Bundle, n_waypoints: int = WAYPOINTS) -> LinearBarrier:
    """Paths to the bundle's own prototypes, of which there must be some."""
    device = classifier.device
    return LinearBarrier(
        classifier=classifier,
        prototypes=bundle.prototypes.images.to(device),
        ends=bundle.prototype_profiles.to(device),
        mixing=torch.linspace(0, 1, n_waypoints + 2, device=device)[1:-1],
    )
