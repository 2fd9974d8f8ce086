"""What a detector by others offers to be measured beside ours, and what it may be fitted on."""

import dataclasses
from collections.abc import Callable
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from detector.passes import waypoints_per_pass
from detector.types import Classifier, Images, LabelledImages

Scores = Float[Tensor, " image"]
"""One number an image, on the CPU; higher is more adversarial."""


@runtime_checkable
class Peer(Protocol):
    """A detector with one score an image.

    Attributes:
        name: for tables.
        source: the paper, and the package with its version.
        forward_equivalents: passes of the guarded classifier that one score costs, a backward counted as two more.
        n_images: so many images are scored and timed at most, since it is slow; None for all.
    """

    @property
    def name(self) -> str: ...

    @property
    def source(self) -> str: ...

    @property
    def forward_equivalents(self) -> float: ...

    @property
    def n_images(self) -> int | None: ...

    def scores(self, images: Images) -> Scores:
        """Score images with pixels in [0, 1], none depending on the others."""
        ...


@dataclasses.dataclass(frozen=True, kw_only=True)
class PeerMaterial:
    """What peers may be fitted on; nothing that they are measured with is in it.

    Attributes:
        fitting: images that the classifier gets right.
        proxies: attacked ones of the same images, of the family that the bundle was calibrated with, none of an
            attack that detectors are measured with; None where the bundle met none.
        generator: of whatever is drawn while they are fitted.
    """

    classifier: Classifier
    fitting: LabelledImages
    proxies: Images | None
    generator: Generator


def in_passes(classifier: Classifier, images: Images, measure: Callable[[Images], Tensor]) -> Scores:
    """What is measured of any number of images, so many at a time as one forward pass takes."""
    parts = torch.split(images, waypoints_per_pass(classifier.input_shape)) if len(images) else ()
    found = [measure(part.to(classifier.device)).detach().double().cpu() for part in parts]
    return torch.cat(found) if found else torch.zeros(0, dtype=torch.float64)


def seed_from(generator: Generator) -> int:
    """A seed for what draws global random numbers."""
    return int(torch.randint(2**31, (), generator=generator))
