"""Weighs several numbers an image by a logistic regression of proxies against clean images."""

import dataclasses

import numpy as np
import torch
from jaxtyping import Float64
from sklearn.linear_model import LogisticRegression
from torch import Tensor


@dataclasses.dataclass(frozen=True, kw_only=True)
class LogisticScore:
    """Log-odds that an image is a proxy, linear in its features."""

    weights: Float64[Tensor, " feature"]
    offset: float

    def __call__(self, features: Float64[Tensor, "image feature"]) -> Float64[Tensor, " image"]:
        """Higher for images more like the proxies."""
        return features @ self.weights + self.offset


def fit_logistic_score(
    clean: Float64[Tensor, "clean feature"], proxies: Float64[Tensor, "proxy feature"]
) -> LogisticScore:
    """Clean images and proxies weigh the same, however many there are of each; features are standardised first."""
    features = torch.cat([clean, proxies])
    mean, deviation = features.mean(0), features.std(0, unbiased=False)
    spread = torch.where(deviation > 0, deviation, 1.0)
    is_proxy = np.repeat([0, 1], [len(clean), len(proxies)])
    fitted = LogisticRegression(class_weight="balanced", max_iter=1000)
    fitted.fit(((features - mean) / spread).numpy(), is_proxy)
    weights = torch.from_numpy(fitted.coef_[0]) / spread
    return LogisticScore(weights=weights, offset=float(fitted.intercept_[0]) - float(mean @ weights))
