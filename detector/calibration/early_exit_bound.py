"""Below which score of the head an ordinary image may leave, and whether letting it pays."""

import dataclasses
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from detector.early_exit import FLOOR, EarlyExitSettings, squashed

HIGHEST_RATE = 0.2
"""False-positive rate up to which thresholds must lie among images that are measured in full."""

_N_TRIED = 200
"""Bounds tried, evenly over the clean images' first scores."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tried:
    """What the first look and the full evidence make of the same images.

    Attributes:
        first: of clean images and proxies, the lower the clearer. While a bound is looked for it is what
            `EarlyExit.judged` says, log-odds or +∞; afterwards it is `EarlyExit.first_scores`.
        full: of the same, log-odds of the head of the full evidence.
        is_proxy: 1 a proxy, 0 a clean image.
    """

    first: Float[Tensor, " image"]
    full: Float[Tensor, " image"]
    is_proxy: Float[Tensor, " image"]

    def leaving(self, bound: float, kind: int) -> float:
        """Share of the images of this kind, as in `is_proxy`, that score below the bound."""
        return float((self.first[self.is_proxy == kind] < bound).double().mean())

    def auroc(self, bound: float) -> float:
        """Of clean images against proxies where those leave that score below the bound; below −∞ none does."""
        scores = torch.where(self.first < bound, FLOOR + self.first - bound, squashed(self.full))
        return auroc(scores[self.is_proxy == 0], scores[self.is_proxy > 0])


def auroc(clean: Float[Tensor, " clean"], proxies: Float[Tensor, " proxy"]) -> float:
    """Share of the pairs in which the proxy scores higher; pairs that score the same count half."""
    ordered = clean.double().sort().values
    below, up_to = (torch.searchsorted(ordered, proxies.double(), right=right) for right in (False, True))
    return float((below + up_to).double().mean()) / (2 * len(clean))


def bound_on(tried: Tried, natural: Float[Tensor, " image"], settings: EarlyExitSettings) -> float | None:
    """The highest bound that keeps to the settings on these images; nothing where none does.

    Args:
        natural: the same of clean images as they are. Those of `tried` may carry noise, and leave less often.
    """
    shares = torch.linspace(settings.most_leaving, 0, _N_TRIED + 1, dtype=torch.float64)[:-1]
    least = tried.auroc(-torch.inf) - settings.most_auroc_lost
    bounds = torch.quantile(natural.double(), shares).float()
    for bound in bounds[bounds.isfinite()].tolist():
        if tried.leaving(bound, 1) <= settings.most_proxies_leaving and tried.auroc(bound) >= least:
            return float(bound)
    return None


def why_no_room(leaving: float, rates: Sequence[float]) -> str | None:
    """Why so many leave that thresholds do not lie among images measured in full, as the end of a sentence.

    Args:
        leaving: share of clean images that leave.
        rates: false-positive rates that the bundle is to serve, besides all up to `HIGHEST_RATE`.
    """
    highest = max(HIGHEST_RATE, *rates)
    if 1 - leaving <= highest:
        return f"{leaving:.0%} of clean images leave, so that none is measured in full at a rate of {highest:g}"
    return None


def why_not(trial: Tried, gain: float, settings: EarlyExitSettings) -> str | None:
    """Why an early exit is not to be kept, as the end of a sentence; nothing where it is.

    Args:
        trial: of images that the bound was not chosen on; those leave whose first score lies below 0.
        gain: ratio of the cost of full evidence to what a clean image costs on average.
    """
    lost, most_lost = trial.auroc(-torch.inf) - trial.auroc(0.0), 2 * settings.most_auroc_lost
    if gain < settings.least_gain:
        return f"a clean image would cost {gain:.2f} times less, and {settings.least_gain:g} were asked for"
    # Twice, since the trial's images are few too; the bound was chosen where others lost half as much.
    if lost > most_lost:
        return f"the AUROC of clean images against proxies would fall by {lost:.4f}, where {most_lost:g} are allowed"
    return None
