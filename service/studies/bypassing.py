"""Straight paths between images of one label, and what is left of their barriers after a bypass."""

import dataclasses

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64
from numpy import ndarray
from torch import Tensor

from detector.search import PotentialKind, SearchResult, SearchSettings, label_potential, search_paths
from detector.search.bypass import Bypass
from detector.search.geometry import highest_inner_point
from detector.types import Classifier, ProgressCallback
from service.studies.subject import Pairs

ONCE, TWICE = Bypass(), Bypass(depth=2)

GENTLE = Bypass(rate=0.001, steps_per_level=128)
"""Tells whether the distance that a point moves is the landscape's or the optimiser's: Adam's first step moves every
pixel by its rate, however little is needed."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Bypassed:
    """Cross-entropy barriers of the same pairs, in nats.

    Attributes:
        once: after the highest point of the straight path has moved aside.
        twice: after the same was done with both legs, too.
        gentle: as `once`, in steps of a tenth.
        moved: mean absolute distance between the highest point and where one bypass moved it, in % of the pixel
            range; NaN where there was no barrier, or one is left.
        moved_gently: the same of the gentle steps.
        moved_share: `moved` as L2, over the distance between the two images.
        flat: barrier that counts as none.
    """

    once: SearchResult
    twice: SearchResult
    gentle: SearchResult
    moved: Float64[ndarray, " pair"]
    moved_gently: Float64[ndarray, " pair"]
    moved_share: Float64[ndarray, " pair"]
    flat: float

    @property
    def rises(self) -> Bool[ndarray, " pair"]:
        """Pairs whose straight path has a barrier."""
        return barriers_of(self.once.straight_barriers) > self.flat

    @property
    def forward_equivalents(self) -> int:
        """What all searches cost together."""
        return sum(int(found.forward_equivalents.sum()) for found in (self.once, self.twice, self.gentle))


def bypass_pairs(
    classifier: Classifier, pairs: Pairs, settings: SearchSettings, progress: ProgressCallback
) -> Bypassed:
    """Search each pair three times from scratch: with one bend, with three, and with one in gentle steps."""
    once = bent(classifier, pairs, ONCE, settings, progress)
    twice = bent(classifier, pairs, TWICE, settings, progress)
    gentle = bent(classifier, pairs, GENTLE, settings, progress)
    moved, share = moves(once, pairs, settings.flat)
    gently, _ = moves(gentle, pairs, settings.flat)
    return Bypassed(
        once=once,
        twice=twice,
        gentle=gentle,
        moved=moved,
        moved_gently=gently,
        moved_share=share,
        flat=settings.flat,
    )


def bent(
    classifier: Classifier, pairs: Pairs, method: Bypass, settings: SearchSettings, progress: ProgressCallback
) -> SearchResult:
    """The bypass of each pair under the label that both images have."""
    potential = label_potential(PotentialKind.CROSS_ENTROPY, classifier, pairs.labels)
    return search_paths(potential, pairs.starts, pairs.ends, method, settings, progress)


def moves(
    result: SearchResult, pairs: Pairs, flat: float
) -> tuple[Float64[ndarray, " pair"], Float64[ndarray, " pair"]]:
    """How far the highest point of each straight path moved: mean per pixel in %, and L2 over the path's length.

    NaN where there was no barrier, or where the path still has one.
    """
    before = highest_inner_point(torch.stack([pairs.starts, pairs.ends], 1), result.straight_profiles)
    after = result.nodes[:, result.nodes.shape[1] // 2]
    is_removed = (result.straight_barriers > flat) & (result.barriers <= flat)
    change, chord = (after - before).flatten(1), (pairs.ends - pairs.starts).flatten(1)
    mean = torch.where(is_removed, 100 * change.abs().mean(1), torch.nan)
    share = torch.where(is_removed, change.norm(dim=1) / chord.norm(dim=1), torch.nan)
    return mean.double().numpy(), share.double().numpy()


def barriers_of(values: Float[Tensor, " pair"]) -> Float64[ndarray, " pair"]:
    """As an array."""
    return np.asarray(values.detach().cpu().double().numpy())
