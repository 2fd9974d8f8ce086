"""At which depth two images part: barriers met on mixing not their pixels but what the network has made of them.

Up to a stage both images go through the network on their own; there the activations are mixed, and the rest of the
network takes the mixture for an image's. Mixing activations of two inputs of one network is to layer-wise connectivity
(Adilova et al. 2024, arXiv 2307.06966) what input-space paths are to linear mode connectivity.

Once what is left of the network is linear there can be no barrier, since cross-entropy is convex in the logits.
"""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from detector.passes import PIXELS_PER_PASS, images_per_pass, waypoints_per_pass
from detector.paths import barrier_height
from detector.potentials import cross_entropy
from detector.types import Classifier, DetectorError, Images

INPUT_STAGE = "pixels"
"""Name of stage 0, where the images themselves are mixed: the straight path."""

LARGEST_LEAK = 0.01
"""What, as a share of the largest logit, rounding may change in an end's logits on the way round through a stage."""


@runtime_checkable
class ResumableClassifier(Classifier, Protocol):
    """A classifier that can be run from one of its representations on."""

    def resume(self, name: str, activations: Tensor, pixels: Images, /) -> Tensor:
        """Logits of the pixels, had the module `name` given these activations, shaped as its representation."""
        ...


@dataclasses.dataclass(frozen=True, kw_only=True)
class LayerwiseBarriers:
    """The cross-entropy of each path's label as activations are mixed at one stage after the other, in nats.

    Attributes:
        stages: names of the stages, the input first, then in network order.
        profiles: at mixing weights evenly spaced from 0 to 1, shape (stage, path, point).
        barriers: rise above the higher endpoint, shape (stage, path).
    """

    stages: tuple[str, ...]
    profiles: Float[Tensor, "stage path point"]
    barriers: Float[Tensor, "stage path"]


@torch.no_grad()
def layerwise_barriers(
    classifier: Classifier,
    starts: Images,
    ends: Images,
    labels: Int64[Tensor, " path"],
    n_points: int = 21,
    *,
    stages: Sequence[str] | None = None,
    pixels_per_pass: int = PIXELS_PER_PASS,
) -> LayerwiseBarriers:
    """Mix start and end at the input and at each stage, run the rest of the network, and measure the barrier.

    All stages share the endpoints, so that a barrier at one and none at the next lies between the two. Costs
    `(1 + stage)·point + 2` forward passes a path.

    Args:
        classifier: one that is a `ResumableClassifier` too.
        starts, ends, labels: one of each a path.
        n_points: points on each path, both ends included.
        stages: representations to mix at, in network order; all of them if not given.
        pixels_per_pass: how much goes into one forward pass, so that memory does not follow the number of paths.

    Raises:
        DetectorError: the classifier cannot be resumed, has no such stage, or its input goes past a stage; fewer than
            three points; starts, ends and labels do not pair up.
    """
    if not isinstance(classifier, ResumableClassifier):
        raise DetectorError(
            f"a {type(classifier).__name__} cannot be run from a stage on, which layer-wise barriers need; give it a "
            "method resume(name, activations, pixels) that returns logits"
        )
    if n_points < 3:
        raise DetectorError(f"{n_points} points show no barrier; take at least 3, both ends included")
    if starts.shape != ends.shape or len(labels) != len(starts):
        raise DetectorError(
            f"starts of shape {tuple(starts.shape)} came with ends of shape {tuple(ends.shape)} and {len(labels)} "
            "labels; give one of each a path"
        )
    run = _Run(
        classifier=classifier,
        stages=None if stages is None else tuple(stages),
        mixing=torch.linspace(0, 1, n_points, device=starts.device),
        per_pass=waypoints_per_pass(classifier.input_shape, pixels_per_pass),
    )
    # At least one chunk, be it empty, says which stages there are.
    paths = torch.arange(len(starts), device=starts.device)
    chunks = torch.split(paths, images_per_pass(classifier.input_shape, n_points, pixels_per_pass))
    parts = [run.profiles(starts[chunk], ends[chunk], labels[chunk]) for chunk in chunks]
    names = tuple(parts[0])
    profiles = torch.stack([torch.cat([part[name] for part in parts]) for name in names])
    barriers = barrier_height(profiles.flatten(0, 1)).view(profiles.shape[:2])
    return LayerwiseBarriers(stages=names, profiles=profiles, barriers=barriers)


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Run:
    """What is the same for all paths.

    Attributes:
        mixing: weight of the end at each point, shape (point,).
        per_pass: points in one forward pass.
    """

    classifier: ResumableClassifier
    stages: tuple[str, ...] | None
    mixing: Float[Tensor, " point"]
    per_pass: int

    def profiles(
        self, starts: Images, ends: Images, labels: Int64[Tensor, " path"]
    ) -> dict[str, Float[Tensor, "path point"]]:
        """Cross-entropy along some paths, by stage."""
        at_starts, at_ends = self.classifier(starts), self.classifier(ends)
        profiles = {INPUT_STAGE: self._measured(self._through_pixels(starts, ends), labels)}
        for name in at_starts.representations if self.stages is None else self.stages:
            if name not in at_starts.representations:
                raise DetectorError(
                    f"the classifier has no representation {name!r}; its own are {', '.join(at_starts.representations)}"
                )
            mixtures = self._mixtures(at_starts.representations[name], at_ends.representations[name])
            resumed = [self.classifier.resume(name, mixed, starts[paths]) for paths, mixed in mixtures]
            logits = self._by_path(resumed)
            _check_cut(name, logits[:, -1], at_ends.logits)
            profiles[name] = self._measured(logits, labels)
        return profiles

    def _through_pixels(self, starts: Images, ends: Images) -> Float[Tensor, "path point label"]:
        return self._by_path([self.classifier(mixed).logits for _, mixed in self._mixtures(starts, ends)])

    def _by_path(self, passes: list[Tensor]) -> Float[Tensor, "path point label"]:
        logits = torch.cat(passes)
        return logits.view(len(logits) // len(self.mixing), len(self.mixing), logits.shape[1])

    def _mixtures(self, starts: Tensor, ends: Tensor) -> Iterator[tuple[Int64[Tensor, " point"], Tensor]]:
        """Points of all paths, one pass at a time: the path of each, and start and end mixed."""
        n_points = len(self.mixing)
        for points in torch.split(torch.arange(len(starts) * n_points, device=starts.device), self.per_pass):
            paths = points // n_points
            weights = self.mixing[points % n_points].view(-1, *[1] * (starts.ndim - 1))
            yield paths, torch.lerp(starts[paths], ends[paths], weights)

    def _measured(
        self, logits: Float[Tensor, "path point label"], labels: Int64[Tensor, " path"]
    ) -> Float[Tensor, "path point"]:
        n_paths, n_points = logits.shape[:2]
        values: Tensor = cross_entropy(logits.flatten(0, 1), labels.repeat_interleave(n_points))
        return values.view(n_paths, n_points)


def _check_cut(name: str, resumed: Float[Tensor, "path label"], direct: Float[Tensor, "path label"]) -> None:
    """Refuse a stage that the input goes past: from the end's activations on, the start's pixels must not matter."""
    difference = (resumed - direct).abs().nan_to_num(nan=0.0, posinf=0.0)
    allowed = LARGEST_LEAK * direct.abs().amax(1, keepdim=True).clamp_min(1)
    if (difference > allowed).any():
        raise DetectorError(
            f"stage {name!r} is not the only road from the pixels to the logits, so mixing there mixes nothing whole; "
            "name stages that are, such as outputs of whole blocks"
        )
