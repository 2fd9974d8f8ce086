"""Which held-out image serves which purpose, decided by the images' own digests.

No image serves two purposes, whatever order or file it comes from: the split follows from pixels and seed alone.
"""

import dataclasses
import hashlib
from collections.abc import Collection, Sequence

import torch

from detector.types import CalibrationError, LabelledImages, StoredImages


@dataclasses.dataclass(frozen=True, kw_only=True)
class SplitShares:
    """Who gets which share of the held-out images.

    Attributes:
        reserved: share of all that is left untouched, for an evaluation afterwards.
        conformal: share of the others that gives the p-values.
        learning: share of the others that head and prototypes are learned from, as clean images and as sources of
            proxies. What remains fits the statistics of the representations.
    """

    reserved: float = 0.0
    conformal: float = 0.25
    learning: float = 0.5

    def __post_init__(self) -> None:
        shares = (self.reserved, self.conformal, self.learning)
        if min(shares) < 0 or self.reserved >= 1 or self.conformal + self.learning >= 1:
            raise CalibrationError(
                f"{self.reserved} of the held-out images were to be reserved, and of the others {self.conformal} to "
                f"give p-values and {self.learning} to learn from; none may be negative, and some must be left over"
            )


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


def without_digests(data: LabelledImages, seen: Collection[bytes]) -> LabelledImages:
    """The images whose digest is not among these, in order."""
    kept = [index for index, digest in enumerate(image_digests(data.images)) if digest not in seen]
    return _take(data, kept)


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
    reserved, used = _cut(order, [shares.reserved])
    conformal, learning, statistics = _cut(used, [shares.conformal, shares.learning])
    return Splits(
        statistics=_take(unique, statistics),
        learning=_take(unique, learning),
        conformal=_take(unique, conformal),
        reserved=_take(unique, reserved),
        n_dropped=len(held_out) - len(unique),
    )


def without_validation(learning: LabelledImages, share: float) -> tuple[LabelledImages, LabelledImages]:
    """The images to learn from, and the share of them, the last, that only say when to stop."""
    cut = round(len(learning) * (1 - share))
    return learning[:cut], learning[cut:]


def _take(data: LabelledImages, indices: Sequence[int]) -> LabelledImages:
    return data[torch.tensor(indices, dtype=torch.int64)]


def _cut(order: Sequence[int], shares: Sequence[float]) -> list[list[int]]:
    """Consecutive parts of the given shares, and the rest."""
    parts, start = [], 0
    for share in shares:
        stop = start + round(share * len(order))
        parts.append(list(order[start:stop]))
        start = stop
    return [*parts, list(order[start:])]
