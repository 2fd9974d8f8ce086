"""Potentials along the straight paths from images to the prototypes of their predicted label.

The one place that turns images into evidence: learning, calibration, the verdict and the evaluation all call it.
"""

import dataclasses
from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor

from detector.passes import images_per_pass
from detector.path_features import claims_of, gains_since, largest_other, summary
from detector.paths import fans
from detector.pooled_outputs import PooledOutputs, pooled_outputs
from detector.potentials import Gaussians, blocks_of, cross_entropy, log_cross_entropy, log_odds_against, margin
from detector.smoothing import Smoothing, smoothed
from detector.types import Classifier, Images, Labels, Outputs, Prototypes, chosen_pixels


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
        claims: what speaks for each label besides the predicted one, shape (image, label, claim): its log-odds at the
            image, its takeover, and for each block the log-distance to it at the image and the change of that
            along the paths.
    """

    labels: Labels
    logits: Float[Tensor, "image label"]
    features: Float[Tensor, "image feature"]
    profiles: Float[Tensor, "image prototype waypoint"]
    takeover: Float[Tensor, "image label"]
    claims: Float[Tensor, "image label claim"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Look:
    """What single points of input space show.

    Attributes:
        features: for the label in question, shape (point, 2 × block + 4).
        distances: log-distance to every label, shape (point, label, block).
    """

    features: Float[Tensor, "point feature"]
    distances: Float[Tensor, "point label block"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Start:
    """What the images themselves show, before any path."""

    logits: Float[Tensor, "image label"]
    labels: Labels
    look: _Look


@dataclasses.dataclass(frozen=True, kw_only=True)
class PathProfiler:
    """Measures every potential at the image itself and at the interior waypoints of its paths.

    Attributes:
        classifier: the network that is guarded.
        gaussians: by block name; where typical representations of each label lie.
        smoothings: the potentials are also measured at these smoothed versions of each image.
        auxiliary: another network that looks at the same images and paths, if there is one.
    """

    classifier: Classifier
    gaussians: Mapping[str, Gaussians]
    smoothings: tuple[Smoothing, ...] = ()
    auxiliary: "Auxiliary | None" = None

    @classmethod
    def on_device(cls, classifier: Classifier, gaussians: Mapping[str, Gaussians]) -> "PathProfiler":
        """With the Gaussians brought to where the classifier is."""
        fits = {name: fit.to(classifier.device) for name, fit in gaussians.items()}
        return cls(classifier=classifier, gaussians=fits)

    def measure(
        self,
        images: Images,
        prototypes: Prototypes,
        mixing: Float[Tensor, " waypoint"],
    ) -> PathEvidence:
        """Classify the images, draw the straight paths of their predicted labels, measure along them.

        Costs `1 + prototype × waypoint` forward passes an image, one more for each smoothing, and the auxiliary's.
        Differentiable in images, prototypes and mixing weights, where they ask for it.
        """
        outputs = self.outputs(images)
        return self._measured(images, outputs, outputs.logits.argmax(1), prototypes, mixing)

    def outputs(self, points: Images) -> PooledOutputs:
        """What the classifier makes of any number of points."""
        return pooled_outputs(self.classifier, points)

    def measure_as(
        self,
        images: Images,
        labels: Labels,
        prototypes: Prototypes,
        mixing: Float[Tensor, " waypoint"],
    ) -> PathEvidence:
        """The same evidence, had the classifier named these labels."""
        return self._measured(images, self.outputs(images), labels, prototypes, mixing)

    def _measured(
        self, images: Images, outputs: Outputs, labels: Labels, prototypes: Tensor, mixing: Tensor
    ) -> PathEvidence:
        paths = fans(images, chosen_pixels(prototypes, labels), mixing)
        return self._completed(self.along(self.start(outputs, labels), paths), images, paths)

    def measure_paths(
        self, images: Images, waypoints: Float[Tensor, "image prototype waypoint channel height width"]
    ) -> PathEvidence:
        """The same evidence along paths that need not be straight, given by their interior waypoints.

        The labels are those that the classifier gives to the images.
        """
        outputs = self.outputs(images)
        start = self.start(outputs, outputs.logits.argmax(1))
        return self._completed(self.along(start, waypoints), images, waypoints)

    def _completed(self, evidence: PathEvidence, images: Images, waypoints: Tensor) -> PathEvidence:
        """The evidence, with what smoothed versions show and the auxiliary makes of the same label."""
        columns = [evidence.features]
        columns += [self.at_smoothed(images, evidence, smoothing) for smoothing in self.smoothings]
        if self.auxiliary is not None:
            columns.append(self.auxiliary.features(images, evidence.labels, waypoints))
        return dataclasses.replace(evidence, features=torch.cat(columns, 1))

    def at_smoothed(self, images: Images, evidence: PathEvidence, smoothing: Smoothing) -> Tensor:
        """What one smoothed version of the images shows, shape (image, smoothed_feature)."""
        outputs, labels = self.outputs(smoothed(images, smoothing)), evidence.labels
        gains = gains_since(outputs.logits, evidence.logits, labels)
        return torch.cat([self._look(outputs, labels).features, largest_other(gains, labels)], 1)

    def start(self, outputs: Outputs, labels: Labels) -> Start:
        """What paths are measured from, had the classifier named these labels."""
        return Start(logits=outputs.logits, labels=labels, look=self._look(outputs, labels))

    def along(
        self, start: Start, waypoints: Float[Tensor, "image prototype waypoint channel height width"]
    ) -> PathEvidence:
        """The evidence of the images and their paths, without what `_completed` adds; there may be no paths."""
        shape = n_images, n_prototypes, n_waypoints = waypoints.shape[:3]
        n_points = n_prototypes * n_waypoints
        logits, labels, at_image = start.logits, start.labels, start.look.distances
        start_profile = cross_entropy(logits, labels)[:, None, None].expand(-1, n_prototypes, 1)
        if n_points == 0:
            return PathEvidence(
                labels=labels,
                logits=logits,
                features=start.look.features,
                profiles=start_profile.expand(-1, -1, 1 + n_waypoints),
                takeover=torch.zeros_like(logits),
                claims=claims_of(logits, labels, torch.zeros_like(logits), at_image, at_image),
            )
        outputs = self.outputs(waypoints.flatten(0, 2))
        point_labels = labels.repeat_interleave(n_points)
        gains = gains_since(outputs.logits, logits.repeat_interleave(n_points, 0), point_labels)
        look = self._look(outputs, point_labels)
        features = torch.cat([look.features, largest_other(gains, point_labels)], 1)
        path_features = features.view(*shape, -1).permute(0, 2, 3, 1).flatten(1, 2)
        profile = cross_entropy(outputs.logits, point_labels).view(shape)
        takeover = gains.view(n_images, n_points, -1).mean(1)
        path_distances = look.distances.view(n_images, n_points, *look.distances.shape[1:]).mean(1)
        return PathEvidence(
            labels=labels,
            logits=logits,
            features=torch.cat([start.look.features, summary(path_features)], 1),
            profiles=torch.cat([start_profile, profile], 2),
            takeover=takeover,
            claims=claims_of(logits, labels, takeover, at_image, path_distances),
        )

    def split(self, images: Tensor, prototypes: Tensor, mixing: Tensor) -> tuple[Tensor, ...]:
        """Cut a tensor with one row an image into parts whose paths make up one forward pass each."""
        return torch.split(images, images_per_pass(self.classifier.input_shape, prototypes.shape[1] * len(mixing)))

    @torch.no_grad()
    def features(
        self,
        images: Images,
        prototypes: Prototypes,
        mixing: Float[Tensor, " waypoint"],
    ) -> Float[Tensor, "image feature"]:
        """What the head judges, for any number of images, one forward pass after the other."""
        parts = self.split(images, prototypes, mixing)
        return torch.cat([self.measure(part, prototypes, mixing).features for part in parts])

    def _look(self, outputs: Outputs, labels: Labels) -> _Look:
        """Measure every potential at some points, for the label in question."""
        columns, all_distances = [], []
        for name, block in blocks_of(outputs.logits, outputs.representations).items():
            distances = self.gaussians[name].log_distances(block)
            own = distances.gather(1, labels[:, None])
            columns += [own, own - self.gaussians[name].nearest_other(distances, labels)]
            all_distances.append(distances)
        logits = outputs.logits
        others = log_odds_against(logits, labels) + logits.gather(1, labels[:, None])[:, 0]
        scalars = [log_cross_entropy(logits, labels), margin(logits, labels), logits.amax(1), others]
        return _Look(
            features=torch.cat([*columns, torch.stack(scalars, 1)], 1),
            distances=torch.stack(all_distances, 2),
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Auxiliary:
    """Another network with the same labels, asked what it makes of the label that the guarded one named.

    One that was trained adversarially is worth asking: what moves the guarded network's landscape hardly moves its own.

    Attributes:
        profiler: of that network.
        n_prototypes: how many of the paths it looks along, the first ones; with 0 it looks at the image alone.
    """

    profiler: PathProfiler
    n_prototypes: int

    def features(
        self,
        images: Images,
        labels: Labels,
        waypoints: Float[Tensor, "image prototype waypoint channel height width"],
    ) -> Float[Tensor, "image feature"]:
        """Every potential of these labels at the image and along the first paths, as `PathEvidence` has them.

        Costs `1 + n_prototypes × waypoint` forward passes of the auxiliary.
        """
        start = self.profiler.start(self.profiler.outputs(images), labels)
        return self.profiler.along(start, waypoints[:, : self.n_prototypes]).features
