"""Which held-out image serves which purpose, decided by the images' own digests.

No image serves two purposes, whatever order or file it comes from: the split follows from pixels and seed alone.
"""

import dataclasses
import hashlib
from collections.abc import Sequence

import torch

from detector.types import CalibrationError, LabelledImages, StoredImages


@dataclasses.dataclass(frozen=True, kw_only=True)
class SplitShares:
    """Shares of the held-out images; what is left over fits the statistics of the representations.

    Attributes:
        reserved: left untouched, for an evaluation afterwards.
        conformal: give the p-values.
        learning: learn head and prototypes, as clean images and as sources of proxies.
    """

    reserved: float = 0.0
    conformal: float = 0.2
    learning: float = 0.5

    def __post_init__(self) -> None:
        shares = (self.reserved, self.conformal, self.learning)
        if min(shares) < 0 or sum(shares) >= 1:
            raise CalibrationError(f"shares of the held-out images are {shares}; they must be positive and sum below 1")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Splits:
    """Disjoint parts of the held-out images.

    Attributes:
        n_dropped: images left out because the same pixels came twice or are among the references.
    """

    statistics: LabelledImages
    learning: LabelledImages
    conformal: LabelledImages
    reserved: LabelledImages
    n_dropped: int


def image_digests(images: StoredImages, salt: bytes = b"") -> list[bytes]:
    """The first 8 bytes of the sha256 of each image's pixels."""
    arrays = images.cpu().contiguous().numpy()
    return [hashlib.sha256(salt + array.tobytes()).digest()[:8] for array in arrays]


def split_held_out(held_out: LabelledImages, references: LabelledImages, shares: SplitShares, seed: int) -> Splits:
    """Deal the held-out images out by digest; drop repeated ones and those that are references too."""
    seen = set(image_digests(references.images))
    kept = []
    for index, digest in enumerate(image_digests(held_out.images)):
        if digest not in seen:
            seen.add(digest)
            kept.append(index)
    unique = held_out[torch.tensor(kept, dtype=torch.int64)]
    keys = image_digests(unique.images, salt=str(seed).encode())
    order = sorted(range(len(unique)), key=keys.__getitem__)
    parts = _cut(order, [shares.reserved, shares.conformal, shares.learning])
    reserved, conformal, learning, statistics = (unique[torch.tensor(part, dtype=torch.int64)] for part in parts)
    return Splits(
        statistics=statistics,
        learning=learning,
        conformal=conformal,
        reserved=reserved,
        n_dropped=len(held_out) - len(unique),
    )


def _cut(order: Sequence[int], shares: Sequence[float]) -> list[list[int]]:
    """Consecutive parts of the given shares, and the rest."""
    parts, start = [], 0
    for share in shares:
        stop = start + round(share * len(order))
        parts.append(list(order[start:stop]))
        start = stop
    return [*parts, list(order[start:])]
