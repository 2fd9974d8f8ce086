"""Searches lower paths for images, and turns what the search meets into evidence."""

import dataclasses

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from detector.bundle import Bundle
from detector.passes import PIXELS_PER_PASS, images_per_pass
from detector.profiles import PathProfiler
from detector.search import (
    LabelPotential,
    SearchResult,
    SearchSettings,
    label_potential,
    method_named,
    search_paths,
)
from detector.search.geometry import node_positions, points_at
from detector.search.method import Method
from detector.second_opinion import EscalationSettings, SecondOpinion
from detector.types import Classifier, DetectorError, Images, Prototypes, chosen_pixels


@dataclasses.dataclass(frozen=True, kw_only=True)
class Searched:
    """Paths from every image to each prototype of its predicted label."""

    barriers: Float[Tensor, "image prototype"]
    highest: Float[Tensor, "image prototype"]
    straight_barriers: Float[Tensor, "image prototype"]
    straight_highest: Float[Tensor, "image prototype"]
    costs: Float[Tensor, "image prototype"]
    n_steps: Float[Tensor, "image prototype"]
    nodes: Float[Tensor, "image prototype node channel height width"]

    @classmethod
    def of(cls, found: SearchResult, n_ends: int) -> "Searched":
        """What was found for so many ends of each image, the ends of one image one after the other."""

        def by_image(values: Tensor) -> Tensor:
            return values.view(len(values) // n_ends, n_ends, *values.shape[1:])

        return cls(
            barriers=by_image(found.barriers),
            highest=by_image(found.profiles.amax(1)),
            straight_barriers=by_image(found.straight_barriers),
            straight_highest=by_image(found.straight_profiles.amax(1)),
            costs=by_image(found.forward_equivalents.float()),
            n_steps=by_image(found.n_steps.float()),
            nodes=by_image(found.nodes),
        )


def searching(profiler: PathProfiler, bundle: Bundle, classifier: Classifier, other: Classifier | None) -> PathProfiler:
    """The same measurements for searches, which ask for gradients: with the classifier as it is, not accelerated.

    Args:
        other: another runtime's rendering of it, where there is one, which takes its place.

    Raises:
        BundleError: the other is not the bundle's classifier.
        DetectorError: it is on another device.
    """
    if other is None:
        return dataclasses.replace(profiler, classifier=classifier)
    bundle.check_classifier(other)
    if other.device != classifier.device:
        raise DetectorError(
            f"the classifier is on {classifier.device} and the one to search with on {other.device}; "
            "open both on one device"
        )
    return dataclasses.replace(profiler, classifier=other)


def search_all(
    potential: LabelPotential,
    images: Images,
    ends: Float[Tensor, "image prototype channel height width"],
    method: Method,
    settings: SearchSettings,
) -> Searched:
    """Search the path from each image to every one of its ends.

    Args:
        potential: with one label for each image and end, the ends of one image one after the other.
    """
    n_ends = ends.shape[1]
    starts = images.repeat_interleave(n_ends, 0)
    return Searched.of(search_paths(potential, starts, ends.flatten(0, 1), method, settings), n_ends)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Escalator:
    """What searched paths show about images: the looks of straight paths, at the same shares of their length, and more.

    Attributes:
        mixing: shares of the path's length at which it is looked at.
        pixels_per_pass: bound on the size of one forward pass.
        paths_at_once: paths that are searched together.
    """

    profiler: PathProfiler
    prototypes: Prototypes
    mixing: Float[Tensor, " waypoint"]
    settings: EscalationSettings
    pixels_per_pass: int = PIXELS_PER_PASS
    paths_at_once: int = SearchSettings.paths_at_once

    @property
    def method(self) -> Method:
        """How paths are searched."""
        return method_named(self.settings.method)

    @property
    def search(self) -> SearchSettings:
        """What every search is held to."""
        return SearchSettings(
            budget=self.settings.budget,
            resolution=self.settings.resolution,
            final_resolution=self.settings.resolution,
            check_every=1,
            patience=8,
            paths_at_once=self.paths_at_once,
            pixels_per_pass=self.pixels_per_pass,
        )

    def potential(self, labels: Int64[Tensor, " path"]) -> LabelPotential:
        """What is lowered; it reads the label of each path from this very tensor."""
        return label_potential(self.settings.potential, self.profiler.classifier, labels, self.profiler.gaussians)

    @torch.no_grad()
    def features(
        self, images: Images, labels: Int64[Tensor, " image"]
    ) -> tuple[Float[Tensor, "image feature"], Float[Tensor, " image"]]:
        """Evidence for a head, finite wherever the classifier is, and what each image cost in forward equivalents.

        Args:
            labels: those that the classifier gives to the images.
        """
        n_prototypes = self.prototypes.shape[1]
        potential = self.potential(labels.repeat_interleave(n_prototypes))
        searched = search_all(potential, images, chosen_pixels(self.prototypes, labels), self.method, self.search)
        n_smoothed = len(self.profiler.smoothings)
        n_looks = n_prototypes * len(self.mixing)
        # The image is the start of all its paths, and is looked at anew.
        return self.shown(images, searched), searched.costs.sum(1) + n_looks + 1 + n_smoothed

    def shown(self, images: Images, searched: Searched) -> Float[Tensor, "image feature"]:
        """Evidence for a head: what is seen along the paths that were found, and what the search met."""
        return torch.cat([self._looks(images, searched), _met(searched)], 1)

    def revised(
        self,
        opinion: SecondOpinion,
        images: Images,
        labels: Int64[Tensor, " image"],
        features: Float[Tensor, "image feature"],
        scores: Float[Tensor, " image"],
    ) -> Float[Tensor, " image"]:
        """The scores of the straight paths, those in doubt replaced by what the opinion makes of searched ones.

        Args:
            labels: those that the classifier gives to the images.
            features, scores: what the straight paths showed, and what the first head made of it.
        """
        rows = opinion.is_doubtful(scores).nonzero()[:, 0]
        if len(rows) == 0:
            return scores
        found, _ = self.features(images[rows], labels[rows])
        return scores.index_copy(0, rows, opinion.revised(torch.cat([features[rows], found], 1)))

    def _looks(self, images: Images, searched: Searched) -> Float[Tensor, "image feature"]:
        nodes = searched.nodes.flatten(0, 1)
        positions = node_positions(nodes)
        points = points_at(nodes, positions, positions[:, -1:] * self.mixing.to(nodes)[None])
        waypoints = points.view(len(images), self.prototypes.shape[1], len(self.mixing), *images.shape[1:])
        n_points = waypoints.shape[1] * waypoints.shape[2]
        size = images_per_pass(self.profiler.classifier.input_shape, n_points, self.pixels_per_pass)
        parts = zip(torch.split(images, size), torch.split(waypoints, size), strict=True)
        return torch.cat([self.profiler.measure_paths(part, way).features for part, way in parts])


def _met(searched: Searched) -> Float[Tensor, "image feature"]:
    """Mean and smallest over the prototypes of barrier and peak before and after, steps, and how far the path bends."""
    nodes = searched.nodes.flatten(0, 1)
    length = node_positions(nodes)[:, -1]
    chord = (nodes[:, -1] - nodes[:, 0]).flatten(1).norm(dim=1).clamp_min(1e-6)
    columns = torch.stack(
        [
            searched.straight_barriers,
            searched.straight_highest,
            searched.barriers,
            searched.highest,
            searched.n_steps.to(length),
            (length / chord).view(searched.n_steps.shape),
        ],
        2,
    )
    # A prototype whose path is not finite tells nothing; that the image itself is, the detector looks after.
    is_number = columns.isfinite()
    mean = torch.where(is_number, columns, 0.0).sum(1) / is_number.sum(1).clamp_min(1)
    smallest = torch.where(is_number, columns, torch.inf).amin(1)
    return torch.cat([mean, torch.where(smallest.isfinite(), smallest, 0.0)], 1)
