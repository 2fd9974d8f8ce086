"""Potentials along the straight paths from images to the prototypes of their predicted label.

The one place that turns images into evidence: learning, calibration, the verdict and the evaluation all call it.
"""

import dataclasses
from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor

from detector.paths import straight_paths
from detector.potentials import (
    LabelGaussians,
    blocks_of,
    cross_entropy,
    log_cross_entropy,
    log_odds_against,
    margin,
)
from detector.types import Classifier, Images, Labels, Outputs


@dataclasses.dataclass(frozen=True, kw_only=True)
class PathEvidence:
    """What the paths of some images show.

    Attributes:
        labels: predicted labels, shape (image,).
        logits: shape (image, label).
        features: what the head judges, shape (image, feature); finite wherever the classifier's outputs are.
        profiles: cross-entropy of the predicted label at the image and the interior waypoints of the path to each
            prototype, in nats, shape (image, prototype, 1 + waypoint). The prototype's own is not in it: it is
            the same for every image.
        takeover: how far each label's logit gains on the predicted one along the paths, averaged over prototypes
            and waypoints, shape (image, label); 0 at the predicted label and where there is no path.
    """

    labels: Labels
    logits: Float[Tensor, "image label"]
    features: Float[Tensor, "image feature"]
    profiles: Float[Tensor, "image prototype waypoint"]
    takeover: Float[Tensor, "image label"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class PathProfiler:
    """Measures every potential at the image itself and at the interior waypoints of its paths.

    Attributes:
        classifier: the network that is guarded.
        gaussians: by block name; where typical representations of each label lie.
    """

    classifier: Classifier
    gaussians: Mapping[str, LabelGaussians]

    def measure(
        self,
        images: Images,
        prototypes: Float[Tensor, "label prototype channel height width"],
        mixing: Float[Tensor, " waypoint"],
    ) -> PathEvidence:
        """Classify the images, draw the straight paths of their predicted labels, measure along them.

        Costs `1 + prototype × waypoint` forward passes an image. Differentiable in the prototypes and the mixing
        weights, not in the images.
        """
        with torch.no_grad():
            at_image = self.classifier(images)
            labels = at_image.logits.argmax(1)
            image_features = self._point_features(at_image, labels)
            image_profile = cross_entropy(at_image.logits, labels)
        n_images, n_prototypes, n_waypoints = len(images), prototypes.shape[1], len(mixing)
        if n_prototypes * n_waypoints == 0:
            return PathEvidence(
                labels=labels,
                logits=at_image.logits,
                features=image_features,
                profiles=image_profile[:, None, None].expand(-1, n_prototypes, 1),
                takeover=torch.zeros_like(at_image.logits),
            )
        starts = images.repeat_interleave(n_prototypes, 0)
        waypoints = straight_paths(starts, prototypes[labels].flatten(0, 1), mixing)
        outputs = self.classifier(waypoints.flatten(0, 1))
        point_labels = labels.repeat_interleave(n_prototypes * n_waypoints)
        gains = _gains(outputs.logits, at_image.logits.repeat_interleave(n_prototypes * n_waypoints, 0), point_labels)
        features = torch.cat([self._point_features(outputs, point_labels), largest_other(gains, point_labels)], 1)
        shape = (n_images, n_prototypes, n_waypoints)
        path_features = features.view(*shape, -1).permute(0, 2, 3, 1).flatten(1, 2)
        profile = cross_entropy(outputs.logits, point_labels).view(shape)
        start_profile = image_profile[:, None, None].expand(-1, n_prototypes, 1)
        return PathEvidence(
            labels=labels,
            logits=at_image.logits,
            features=torch.cat([image_features, _summary(path_features)], 1),
            profiles=torch.cat([start_profile, profile], 2),
            takeover=gains.view(n_images, n_prototypes * n_waypoints, -1).mean(1),
        )

    def _point_features(self, outputs: Outputs, labels: Labels) -> Float[Tensor, "image feature"]:
        """What one point of input space shows, for the label in question; shape (image, 2 × block + 4)."""
        columns = []
        for name, block in blocks_of(outputs.logits, outputs.representations).items():
            distances = self.gaussians[name].log_distances(block)
            own = distances.gather(1, labels[:, None])
            nearest_other = distances.scatter(1, labels[:, None], torch.inf).amin(1, keepdim=True)
            columns += [own, own - nearest_other]
        logits = outputs.logits
        others = log_odds_against(logits, labels) + logits.gather(1, labels[:, None])[:, 0]
        scalars = [log_cross_entropy(logits, labels), margin(logits, labels), logits.amax(1), others]
        return torch.cat([*columns, torch.stack(scalars, 1)], 1)


def _gains(
    logits: Float[Tensor, "image label"], start_logits: Float[Tensor, "image label"], labels: Labels
) -> Float[Tensor, "image label"]:
    """Change, since the start of the path, of each label's log-odds against the predicted label."""
    change = logits - start_logits
    return change - change.gather(1, labels[:, None])


def largest_other(values: Float[Tensor, "image label"], labels: Labels) -> Float[Tensor, "image 1"]:
    """Largest value among the labels that are not the one in question."""
    return values.scatter(1, labels[:, None], -torch.inf).amax(1, keepdim=True)


def _summary(
    path_features: Float[Tensor, "image waypoint_feature prototype"],
) -> Float[Tensor, "image feature"]:
    """Mean over the prototypes, and how far they disagree; one prototype alone cannot disagree with itself."""
    mean = path_features.mean(2)
    if path_features.shape[2] == 1:
        return mean
    spread = (path_features.var(2, unbiased=False) + 1e-6).sqrt()
    return torch.cat([mean, spread], 1)
