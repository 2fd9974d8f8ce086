"""How far a found path goes round the place where the straight one is highest."""

import dataclasses

import torch
from jaxtyping import Float
from torch import Tensor

from detector.search.geometry import Nodes, dot, sample_path

FoundNodes = Float[Tensor, "path found_node channel height width"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Detour:
    """B and B′ of Vrabel et al. (ICLR 2025, arXiv 2409.05800), for a path found by whatever method.

    Attributes:
        share: where on the straight path B lies, 0 at its start and 1 at its end.
        straight: B, the highest inner point of the straight path, pixels in [0, 1].
        found: B′, where the found path first meets the plane through B that is orthogonal to the straight one.
    """

    share: float
    straight: Float[Tensor, "channel height width"]
    found: Float[Tensor, "channel height width"]

    @property
    def mean_size(self) -> float:
        """Mean of |B′ − B| over pixels and channels, on the scale where white is 255."""
        return 255 * (self.found - self.straight).abs().mean().item()


def detour_around(straight: Nodes, straight_profile: Float[Tensor, "path point"], found: FoundNodes) -> Detour | None:
    """The detour of one found path; None where the straight path has no length or its potential is not finite.

    Args:
        straight: nodes of the straight path, shape (1, node, …).
        straight_profile: the potential along it, at points as `sample_path` places them.
        found: nodes of the found path with the same ends.
    """
    chord = straight[:, -1:] - straight[:, :1]
    square = dot(chord, chord)
    if not square.any() or not straight_profile.isfinite().all():
        return None
    points, positions = sample_path(straight, straight_profile.shape[1])
    highest = int(straight_profile[0, 1:-1].argmax()) + 1
    share = positions[0, highest] / positions[0, -1]
    # How far along the chord each node of the found path has come; 0 at its start and 1 at its end.
    shares = (dot(found - found[:, :1], chord) / square)[0, :, 0, 0, 0]
    after = max(1, int((shares >= share).int().argmax()))
    before = after - 1
    weight = ((share - shares[before]) / (shares[after] - shares[before])).clamp(0, 1)
    return Detour(
        share=share.item(),
        straight=points[0, highest].cpu(),
        found=torch.lerp(found[0, before], found[0, after], weight).cpu(),
    )
