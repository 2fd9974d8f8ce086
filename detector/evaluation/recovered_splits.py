"""Which image of a file served which purpose when a bundle was calibrated.

A bundle keeps digests of the images that it saw and how many served each purpose; the split follows from pixels and
seed alone, so whoever has the file can tell them apart again.
"""

import dataclasses

import torch

from detector.bundle import Bundle
from detector.calibration.splits import image_digests
from detector.types import BundleError, ImageError, LabelledImages


@dataclasses.dataclass(frozen=True, kw_only=True)
class RecoveredSplits:
    """Disjoint parts of the images that a bundle was calibrated with, each in the order it was dealt out in."""

    statistics: LabelledImages
    learning: LabelledImages
    conformal: LabelledImages


def recover_splits(bundle: Bundle, data: LabelledImages) -> RecoveredSplits:
    """Deal the images that the bundle has seen out again, as `split_held_out` did.

    Args:
        data: the held-out images of the calibration, in any order; others may be among them, and images may come twice.

    Raises:
        BundleError: the bundle does not say how many images served each purpose.
        ImageError: not all images that the bundle has seen are there.
    """
    counts = [_count(bundle, part) for part in _ORDER]
    missing = set(bundle.used_digests)
    n_seen, found = len(missing), []
    for index, digest in enumerate(image_digests(data.images)):
        if digest in missing:
            missing.remove(digest)
            found.append(index)
    if missing or len(found) != sum(counts):
        raise ImageError(
            f"the bundle was calibrated with {n_seen} images ({sum(counts)} by its counts), and {len(found)} of them "
            f"are among the {len(data)} given; give the held-out images of its calibration, prepared in the same way"
        )
    kept = data[torch.tensor(found, dtype=torch.int64)]
    keys = image_digests(kept.images, salt=str(bundle.record.seed).encode())
    order = torch.tensor(sorted(range(len(kept)), key=keys.__getitem__), dtype=torch.int64)
    parts = dict(zip(_ORDER, torch.split(order, counts), strict=True))
    return RecoveredSplits(**{part: kept[chosen] for part, chosen in parts.items()})


def _count(bundle: Bundle, part: str) -> int:
    measured = bundle.record.measured
    if f"{part}_images" not in measured:
        raise BundleError(f"the bundle does not say how many {part} images it was calibrated with; calibrate again")
    return int(measured[f"{part}_images"])


_ORDER = ("conformal", "learning", "statistics")
"""In which images are dealt out, after those reserved, which no bundle has seen."""
