"""From images to the evidence of their straight paths: everything that a bundle fixes, in one callable."""

import copy
import dataclasses
from collections.abc import Callable

import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from detector.acceleration import AccelerationSettings, accelerated
from detector.bundle import Bundle
from detector.early_exit import EarlyExit, squashed
from detector.evidence import Evidence
from detector.first_look import FirstLook, Glance
from detector.passes import PIXELS_PER_PASS, images_per_pass, waypoints_per_pass
from detector.potentials import cross_entropy
from detector.profiles import PathEvidence, PathProfiler
from detector.scorer import Scorer
from detector.search.method import rows_of
from detector.types import Classifier, Images

MeasureStraight = Callable[[Images], Evidence]
"""Evidence of one chunk of images, whatever runtime computes it."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class StraightPaths:
    """Measures straight paths with PyTorch.

    Attributes:
        profiler: what is measured along the paths.
        prototypes: where they end; stored as files store images, since there may be thousands.
        prototype_profiles: cross-entropy of each prototype for its own label, in nats.
        mixing: mixing weights of the interior waypoints.
        head: judges the evidence.
        early_exit: which images leave before their paths are measured, where some may.
        pixels_per_pass: bound on the size of one forward pass along paths.
    """

    profiler: PathProfiler
    prototypes: UInt8[Tensor, "label prototype channel height width"]
    prototype_profiles: Float[Tensor, "label prototype"]
    mixing: Float[Tensor, " waypoint"]
    head: Scorer
    early_exit: EarlyExit | None = None
    pixels_per_pass: int = PIXELS_PER_PASS

    @classmethod
    def of(
        cls,
        bundle: Bundle,
        classifier: Classifier,
        auxiliary: Classifier | None,
        pixels_per_pass: int = PIXELS_PER_PASS,
        acceleration: AccelerationSettings | None = None,
    ) -> "StraightPaths":
        """On the classifier's device; the bundle is left as it is."""
        device, early_exit = classifier.device, bundle.early_exit
        return cls(
            profiler=accelerated(bundle.profiler(classifier, auxiliary), acceleration or AccelerationSettings()),
            prototypes=bundle.prototypes.images.to(device),
            prototype_profiles=bundle.prototype_profiles.to(device),
            mixing=bundle.mixing.to(device),
            # Modules move in place, and the bundle may serve detectors on other devices too.
            head=copy.deepcopy(bundle.head).to(device),
            early_exit=None if early_exit is None else early_exit.to(device),
            pixels_per_pass=pixels_per_pass,
        )

    def __call__(self, images: Images) -> Evidence:
        """Measure one chunk of images; the paths of those that leave early are not measured."""
        if self.early_exit is None:
            return self.complete(images)
        return self._staged(images, self.early_exit, FirstLook(profiler=self.profiler, looks=self.early_exit.looks))

    def complete(self, images: Images) -> Evidence:
        """Everything about all the images, scored by the full evidence alone, as if none could leave."""
        paths = self.profiler.measure(images, self.prototypes, self.mixing)
        scores = self.head(paths.features)
        return self._evidence(paths, scores, torch.zeros_like(scores, dtype=torch.bool))

    def densely(self, images: Images) -> Evidence:
        """What a call says, at whatever cost: made of operations on whole tensors alone, so that it can be exported."""
        evidence, early_exit = self.complete(images), self.early_exit
        if early_exit is None:
            return evidence
        first = early_exit.first_scores(self.first_features(evidence.paths, early_exit))
        leaves = early_exit.leaves(first)
        scores = early_exit.combined(first, evidence.scores)
        return self._evidence(_forgotten(evidence.paths, leaves), scores, leaves)

    def first_features(self, paths: PathEvidence, early_exit: EarlyExit) -> Float[Tensor, "image feature"]:
        """What the first look shows, among what was measured in full."""
        columns = FirstLook(profiler=self.profiler, looks=early_exit.looks).columns(paths.features.shape[1])
        return paths.features[:, columns.to(paths.features.device)]

    def _staged(self, images: Images, early_exit: EarlyExit, looks: FirstLook) -> Evidence:
        """First a look at all the images, then the paths of those that stay, as many at once as one pass holds."""
        glance = looks.glance(images)
        first = early_exit.first_scores(glance.features)
        leaves, scores = early_exit.leaves(first), early_exit.scores_of_clear(first)
        paths = self._unmeasured(glance)
        n_waypoints = self.prototypes.shape[1] * len(self.mixing)
        size = images_per_pass(self.profiler.classifier.input_shape, n_waypoints, self.pixels_per_pass)
        for rows in torch.split((~leaves).nonzero()[:, 0], size):
            if len(rows):
                full = looks.completed(rows_of(glance, rows), images[rows], self.prototypes, self.mixing)
                paths = _with_rows(paths, rows, full)
                scores = scores.index_copy(0, rows, squashed(self.head(full.features)))
        return self._evidence(paths, scores, leaves)

    def _unmeasured(self, glance: Glance) -> PathEvidence:
        """What is known before any path: no number stands where nothing was measured."""
        logits, labels = glance.start.logits, glance.start.labels
        n_images, n_labels = logits.shape
        unknown = logits.new_tensor(torch.nan)
        profiles = unknown.expand(n_images, self.prototypes.shape[1], 1 + len(self.mixing)).clone()
        profiles[:, :, 0] = cross_entropy(logits, labels)[:, None]
        return PathEvidence(
            labels=labels,
            logits=logits,
            features=unknown.expand(n_images, self.head.n_features),
            profiles=profiles,
            takeover=unknown.expand(n_images, n_labels),
            claims=unknown.expand(n_images, n_labels, 2 + 2 * len(self.profiler.gaussians)),
        )

    def _evidence(self, paths: PathEvidence, scores: Tensor, has_left: Bool[Tensor, " image"]) -> Evidence:
        ends = self.prototype_profiles[paths.labels]
        return Evidence(
            paths=paths,
            scores=scores,
            profiles=torch.cat([paths.profiles, ends[:, :, None]], 2),
            has_left=has_left,
        )


def images_per_step(bundle: Bundle, pixels_per_pass: int) -> int:
    """So many images that the paths which are expected to be measured of them fill one forward pass; at least one."""
    filling, early_exit = images_in_full(bundle, pixels_per_pass), bundle.record.early_exit
    if early_exit is None:
        return filling
    expected = round(filling / (1 - early_exit.leaving_share))
    return max(filling, min(expected, waypoints_per_pass(bundle.record.input_shape, pixels_per_pass)))


def images_in_full(bundle: Bundle, pixels_per_pass: int) -> int:
    """So many images that all their paths fill one forward pass, as those of a graph are measured; at least one."""
    n_waypoints = bundle.prototypes.n_prototypes * len(bundle.mixing)
    return images_per_pass(bundle.record.input_shape, n_waypoints, pixels_per_pass)


def _with_rows(paths: PathEvidence, rows: Tensor, found: PathEvidence) -> PathEvidence:
    names = [field.name for field in dataclasses.fields(PathEvidence)]
    return PathEvidence(**{name: getattr(paths, name).index_copy(0, rows, getattr(found, name)) for name in names})


def _forgotten(paths: PathEvidence, leaves: Bool[Tensor, " image"]) -> PathEvidence:
    """The evidence without what is not measured of images that leave."""

    def hidden(values: Tensor) -> Tensor:
        return torch.where(leaves.view(-1, *(1,) * (values.ndim - 1)), torch.nan, values)

    return dataclasses.replace(
        paths,
        features=hidden(paths.features),
        profiles=torch.cat([paths.profiles[:, :, :1], hidden(paths.profiles[:, :, 1:])], 2),
        takeover=hidden(paths.takeover),
        claims=hidden(paths.claims),
    )
