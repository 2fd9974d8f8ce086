"""Joins a head that black-box proxies taught with one that knows clean images alone."""

import torch
from jaxtyping import Float
from torch import Tensor

from detector.calibration.clean_only import fit_typicality
from detector.head import Head
from detector.joined import Joined

UPPER = 0.95
"""Share of clean images that score below the upper end of the spread."""


@torch.no_grad()
def joined_with_typicality(learned: Head, clean: Float[Tensor, "image feature"]) -> Joined:
    """The learned head beside how clean images spread; both count in units of the upper half of that spread.

    Upper, since that is where thresholds lie: a p-value is about how far above the middle clean images still get.

    Raises:
        CalibrationError: there are too few images.
    """
    head = Joined(learned, fit_typicality(clean)).to(clean.device)
    scores = head.parts(clean)
    head.middle.copy_(scores.median(0).values)
    spread = torch.quantile(scores, UPPER, dim=0) - head.middle
    # A head that says the same of all clean images keeps its own unit.
    head.spread.copy_(torch.where(spread > 1e-6, spread, torch.ones_like(spread)))
    return head.eval().requires_grad_(False)
