"""A head and claim weights from clean images alone, where neither gradients nor queries are to be had for proxies."""

import torch
from jaxtyping import Float
from sklearn.covariance import ledoit_wolf
from torch import Tensor

from detector.types import CalibrationError
from detector.typicality import Typicality

FEWEST_IMAGES = 10
"""Clean images under which a spread means nothing."""


def fit_typicality(features: Float[Tensor, "image feature"]) -> Typicality:
    """How clean images spread: each feature by median and median deviation, all together by their covariance.

    Medians, since clean images have tails of their own, which would widen what they are told apart by; the covariance,
    shrunk (Ledoit & Wolf 2004), since features of waypoints next to each other say almost the same, and an image is
    untypical where they part. With fewer images than features the shrinkage keeps every direction finite.

    Raises:
        CalibrationError: there are too few images.
    """
    if len(features) < FEWEST_IMAGES:
        raise CalibrationError(
            f"{len(features)} clean images are left to say what is typical, and at least {FEWEST_IMAGES} are needed; "
            "give more held-out images"
        )
    head = Typicality(features.shape[1]).to(features.device)
    head.mean.copy_(features.median(0).values)
    head.scale.copy_(_robust_scale(features - head.mean))
    standardised = ((features - head.mean) / head.scale).clamp(-head.LIMIT, head.LIMIT).double()
    head.centre.copy_(standardised.mean(0))
    covariance, _ = ledoit_wolf((standardised - standardised.mean(0)).cpu().numpy(), assume_centered=True)
    values, vectors = torch.linalg.eigh(torch.from_numpy(covariance))
    # A feature that never changes leaves a direction without variance, in which nothing can be measured.
    deviations = values.clamp_min(max(1e-6 * float(values.max()), 1e-12)).sqrt()
    head.whitening.copy_(vectors.T / deviations[:, None])
    return head.eval().requires_grad_(False)


def _robust_scale(deviations: Float[Tensor, "image feature"]) -> Float[Tensor, " feature"]:
    """1.4826 times the median absolute deviation, which is the standard deviation of a Gaussian.

    Where more than half of the values are the same the standard deviation takes its place, and 1 where all are.
    """
    robust = 1.4826 * deviations.abs().median(0).values
    plain = deviations.std(0)
    scale = torch.where(robust > 1e-6, robust, plain)
    return torch.where(scale > 1e-6, scale, torch.ones_like(scale))


def fixed_claim_weights(claims: Float[Tensor, "image label claim"]) -> Float[Tensor, " claim"]:
    """Weights that nothing was fitted to: log-odds, takeover and the mean distance of the blocks count the same.

    Each in units of its spread among labels. Log-odds and takeover speak for a label where they are large, distances
    where they are small; how distances change along the paths counts nothing, since which way speaks for a label only
    proxies could tell.
    """
    spread = claims.flatten(0, 1).std(0).clamp_min(1e-6)
    n_blocks = (claims.shape[2] - 2) // 2
    weights = torch.zeros_like(spread)
    weights[:2] = 1.0
    weights[2 : 2 + n_blocks] = -1 / n_blocks
    return (weights / spread).cpu()
