"""The images at the far end of the paths, whatever way they were made."""

import dataclasses
import enum

from jaxtyping import Float, UInt8
from torch import Tensor

from detector.types import DetectorError


class PrototypeKind(enum.StrEnum):
    """How prototypes are made. The last four are controls that the others have to beat.

    LEARNED_FROM_IMAGES is what learning makes of images; it is never asked for, but told apart from LEARNED, which
    started from prototypes that no image is part of.
    """

    REAL = "real"
    MEDOID = "medoid"
    FEATURE_VISUALISED = "feature-visualised"
    STAR = "star"
    LEARNED = "learned"
    LEARNED_FROM_IMAGES = "learned-from-images"
    NOISE = "noise"
    GREY = "grey"
    OTHER_LABEL = "other-label"
    NONE = "none"

    @property
    def is_synthetic(self) -> bool:
        """Whether the prototypes hold no pixel of anybody's image, so that a bundle with them may be given away.

        Learned ones and star centres are fitted to images all the same: through the gradient of the classifier, which
        nothing forbids to draw something that resembles them.
        """
        return self in _SYNTHETIC

    @property
    def needs_no_image(self) -> bool:
        """Whether prototypes can be made of labels that there is no image of."""
        return self in _WITHOUT_IMAGES


class PrototypeLabels(enum.StrEnum):
    """Which labels get prototypes: those that reference images are classified as, or all that the classifier knows."""

    WITH_IMAGES = "with-images"
    ALL = "all"


_WITHOUT_IMAGES = {
    PrototypeKind.FEATURE_VISUALISED,
    PrototypeKind.NOISE,
    PrototypeKind.GREY,
    PrototypeKind.NONE,
}

_SYNTHETIC = {
    PrototypeKind.FEATURE_VISUALISED,
    PrototypeKind.STAR,
    PrototypeKind.LEARNED,
    PrototypeKind.NOISE,
    PrototypeKind.GREY,
    PrototypeKind.NONE,
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class PrototypeSet:
    """The same number of prototypes for every label, stored as files store images.

    Attributes:
        images: shape (label, prototype, channel, height, width), 0 to 255.
        available: shape (label,); false for labels without prototypes.
        kinds: how each prototype of a label was made, in order.
    """

    images: UInt8[Tensor, "label prototype channel height width"]
    available: Tensor
    kinds: tuple[PrototypeKind, ...]

    def __post_init__(self) -> None:
        n_labels, n_prototypes = self.images.shape[:2]
        if self.available.shape != (n_labels,) or len(self.kinds) != n_prototypes:
            raise DetectorError(
                f"prototypes for {n_labels} labels, {n_prototypes} each, came with {tuple(self.available.shape)} "
                f"availabilities and {len(self.kinds)} kinds; give one availability a label and one kind a prototype"
            )

    @property
    def n_prototypes(self) -> int:
        """Prototypes of each label."""
        return self.images.shape[1]

    def pixels(self) -> Float[Tensor, "label prototype channel height width"]:
        """All prototypes with pixels in [0, 1]."""
        return self.images.float() / 255
