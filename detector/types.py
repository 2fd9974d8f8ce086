"""What every room of the detector agrees on: shapes, the classifier it takes, and how it fails.

Errors:
    DetectorError             something a caller can put right; says what was expected, what came, what to do
    ├── ImageError            images of the wrong shape, range or number
    ├── CalibrationError      the images given cannot support the calibration asked for
    ├── BundleError           a bundle that is damaged, too new, or made for another classifier
    └── PageError             a page that cannot be written (detector.evaluation.page)
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

Images = Float[Tensor, "image channel height width"]
"""Pixels in [0, 1]."""

Labels = Int64[Tensor, " image"]
"""Index of a label of the classifier, one an image."""

Waypoints = Float[Tensor, "path waypoint channel height width"]
"""Points of paths, endpoints included, pixels in [0, 1]."""

Profile = Float[Tensor, "path waypoint"]
"""One potential along each path, e.g. in nats."""

StoredImages = UInt8[Tensor, "image channel height width"]
"""Pixels as files hold them, 0 to 255; `to_pixels` makes `Images` of them."""

Prototypes = (
    Float[Tensor, "label prototype channel height width"] | UInt8[Tensor, "label prototype channel height width"]
)
"""Those of every label: pixels in [0, 1], or as files store them, which takes a quarter of the memory."""

ProgressCallback = Callable[[str, int, int], None]
"""Called with (what is being done, steps done, steps in all)."""


@runtime_checkable
class Outputs(Protocol):
    """What one forward pass gives: logits of shape (image, label), and representations by name, image axis first."""

    @property
    def logits(self) -> Tensor: ...

    @property
    def representations(self) -> Mapping[str, Tensor]: ...


@runtime_checkable
class Classifier(Protocol):
    """A frozen network that takes pixels in [0, 1]; its normalisation is its own affair.

    Attributes:
        labels: the name of each label.
        input_shape: (channel, height, width) of the images it takes.
    """

    @property
    def labels(self) -> tuple[str, ...]: ...

    @property
    def input_shape(self) -> tuple[int, int, int]: ...

    @property
    def device(self) -> torch.device: ...

    def __call__(self, pixels: Images, /) -> Outputs: ...

    def digest(self) -> str:
        """sha256 over everything that decides its outputs."""
        ...


@dataclasses.dataclass(frozen=True, kw_only=True)
class LabelledImages:
    """Images as files hold them, each with the label it truly has."""

    images: StoredImages
    labels: Int64[Tensor, " label"]

    def __post_init__(self) -> None:
        if len(self.images) != len(self.labels):
            raise ImageError(f"{len(self.images)} images came with {len(self.labels)} labels; give one label an image")

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, chosen: Tensor | slice) -> "LabelledImages":
        return LabelledImages(images=self.images[chosen], labels=self.labels[chosen])


def to_pixels(images: StoredImages, device: torch.device | None = None) -> Images:
    """Bytes 0 to 255 as pixels in [0, 1]."""
    return images.to(device=device, dtype=torch.float32) / 255


def chosen_pixels(images: Tensor, rows: Tensor) -> Tensor:
    """The images in these rows with pixels in [0, 1]; stored ones are converted only then, being a quarter as large.

    Args:
        images: of any shape, pixels in [0, 1] or, as files hold them, bytes.
    """
    chosen = images[rows]
    return chosen if chosen.is_floating_point() else chosen.float() / 255


def to_stored(pixels: Float[Tensor, "*shape"]) -> UInt8[Tensor, "*shape"]:
    """Pixels in [0, 1] rounded to the bytes 0 to 255, on the CPU; one image, many, or paths of them."""
    return (pixels * 255).round().to(torch.uint8).cpu()


class DetectorError(ValueError):
    """Something a caller can put right."""


class ImageError(DetectorError):
    """Images of the wrong shape, range or number."""


class CalibrationError(DetectorError):
    """The images given cannot support the calibration asked for."""


class BundleError(DetectorError):
    """A bundle that is damaged, too new, or made for another classifier."""


def no_progress(stage: str, done: int, total: int) -> None:
    """Report to nobody."""
