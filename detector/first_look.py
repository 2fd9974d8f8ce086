"""What the image itself shows, before any path, kept so that whoever looks on pays for the paths alone."""

import dataclasses

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from detector.early_exit import Look
from detector.paths import fans
from detector.profiles import PathEvidence, PathProfiler, Start
from detector.smoothing import Smoothing
from detector.types import BundleError, Images, Prototypes, chosen_pixels


@dataclasses.dataclass(frozen=True, kw_only=True)
class Glance:
    """What a first look at some images showed.

    Attributes:
        features: what its judges take, in the order in which the full evidence has the same columns.
        start: what paths are measured from.
        smoothed, auxiliary: columns of the smoothed versions and of the auxiliary classifier; without any where the
            first look does not take them in.
    """

    features: Float[Tensor, "image feature"]
    start: Start
    smoothed: Float[Tensor, "image smoothed_feature"]
    auxiliary: Float[Tensor, "image auxiliary_feature"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class FirstLook:
    """Measures in two stages what a profiler measures in one.

    Attributes:
        profiler: of the full evidence; its auxiliary classifier looks at the image alone.
        looks: what the first stage takes in besides the image.
    """

    profiler: PathProfiler
    looks: tuple[Look, ...]

    def __post_init__(self) -> None:
        if self.profiler.auxiliary is not None and self.profiler.auxiliary.n_prototypes > 0:
            raise BundleError(
                "the auxiliary classifier looks along paths, of which a first look has none; calibrate with "
                "--auxiliary-paths 0, or without an early exit"
            )

    @property
    def forward_equivalents(self) -> int:
        """Forward passes of the first stage."""
        return 1 + len(self._smoothings) + int(self._asks_auxiliary)

    @property
    def alone(self) -> PathProfiler:
        """A profiler that, given no prototypes, shows what the first stage shows, in the same order, and no more."""
        auxiliary = self.profiler.auxiliary if self._asks_auxiliary else None
        return dataclasses.replace(self.profiler, smoothings=self._smoothings, auxiliary=auxiliary)

    def glance(self, images: Images) -> Glance:
        """The first stage, for the labels that the classifier gives the images."""
        profiler = self.profiler
        outputs = profiler.outputs(images)
        start = profiler.start(outputs, outputs.logits.argmax(1))
        nowhere = images.new_zeros(len(images), 0, 0, *images.shape[1:])
        at_image = profiler.along(start, nowhere)
        nothing = at_image.features[:, :0]
        smoothed = torch.cat([nothing, *(profiler.at_smoothed(images, at_image, one) for one in self._smoothings)], 1)
        auxiliary = nothing
        if self._asks_auxiliary and profiler.auxiliary is not None:
            auxiliary = profiler.auxiliary.features(images, at_image.labels, nowhere)
        return Glance(
            features=torch.cat([at_image.features, smoothed, auxiliary], 1),
            start=start,
            smoothed=smoothed,
            auxiliary=auxiliary,
        )

    def completed(
        self, glance: Glance, images: Images, prototypes: Prototypes, mixing: Float[Tensor, " waypoint"]
    ) -> PathEvidence:
        """The second stage: the full evidence of images whose first look has been taken."""
        profiler, labels = self.profiler, glance.start.labels
        waypoints = fans(images, chosen_pixels(prototypes, labels), mixing)
        along = profiler.along(glance.start, waypoints)
        columns = [along.features, glance.smoothed]
        if Look.SMOOTHED not in self.looks:
            columns += [profiler.at_smoothed(images, along, one) for one in profiler.smoothings]
        columns.append(glance.auxiliary)
        if not self._asks_auxiliary and profiler.auxiliary is not None:
            columns.append(profiler.auxiliary.features(images, labels, waypoints))
        return dataclasses.replace(along, features=torch.cat(columns, 1))

    def columns(self, n_features: int) -> Int64[Tensor, " feature"]:
        """Which of the columns of the full evidence, of which there are so many, the first look shows."""
        own = _n_columns(self.profiler)
        n_auxiliary = 0 if self.profiler.auxiliary is None else _n_columns(self.profiler.auxiliary.profiler)
        n_smoothed = len(self.profiler.smoothings) * (own + 1)
        at_smoothed, at_auxiliary = n_features - n_auxiliary - n_smoothed, n_features - n_auxiliary
        chosen = [torch.arange(own)]
        if Look.SMOOTHED in self.looks:
            chosen.append(torch.arange(at_smoothed, at_auxiliary))
        if self._asks_auxiliary:
            chosen.append(torch.arange(at_auxiliary, n_features))
        return torch.cat(chosen)

    @property
    def _smoothings(self) -> tuple[Smoothing, ...]:
        return self.profiler.smoothings if Look.SMOOTHED in self.looks else ()

    @property
    def _asks_auxiliary(self) -> bool:
        return Look.AUXILIARY in self.looks and self.profiler.auxiliary is not None


def _n_columns(profiler: PathProfiler) -> int:
    """Of one look: two a block and four of the logits; a look from elsewhere than the image has one more."""
    return 2 * len(profiler.gaussians) + 4
