"""Fits the head that is kept, once prototypes and mixing weights stand still."""

import copy
import dataclasses
import itertools
from collections.abc import Iterator

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from detector.calibration.stream import Batch
from detector.head import Head
from detector.profiles import PathProfiler
from detector.types import CalibrationError, ProgressCallback


@dataclasses.dataclass(frozen=True, kw_only=True)
class FittingSettings:
    """How the head is fitted.

    Attributes:
        batches: batches of the stream whose features it learns from.
        validation_share: share of those batches, the last, that only say when to stop.
        patience: epochs without a better validation loss before it stops.
    """

    batches: int = 120
    validation_share: float = 0.2
    epochs: int = 200
    patience: int = 25
    batch_size: int = 256
    learning_rate: float = 2e-3
    weight_decay: float = 1e-3


@dataclasses.dataclass(frozen=True, kw_only=True)
class Examples:
    """Features and what they come from: 1 a proxy, 0 a clean image."""

    features: Float[Tensor, "image feature"]
    is_proxy: Float[Tensor, " image"]


@torch.no_grad()
def collect_examples(
    profiler: PathProfiler,
    prototypes: Tensor,
    mixing: Tensor,
    batches: Iterator[Batch],
    n_batches: int,
    progress: ProgressCallback,
) -> Examples:
    """Measure the paths of `n_batches` batches.

    Raises:
        CalibrationError: no proxy succeeded, so that there is nothing to tell clean images from.
    """
    features, is_proxy = [], []
    for done, batch in enumerate(itertools.islice(batches, n_batches), 1):
        for images, flag in ((batch.clean, 0.0), (batch.proxies, 1.0)):
            if len(images):
                measured = profiler.measure(images, prototypes, mixing).features
                features.append(measured)
                is_proxy.append(torch.full((len(images),), flag, device=measured.device))
        progress("measuring clean images and proxies", done, n_batches)
    examples = Examples(features=torch.cat(features), is_proxy=torch.cat(is_proxy))
    if not examples.is_proxy.any():
        raise CalibrationError(
            "none of the proxies fooled the classifier, so nothing can be learned from them; "
            "allow a larger radius, or check that gradients reach the pixels"
        )
    return examples


def fit_head(learn: Examples, validate: Examples, hidden: tuple[int, ...], settings: FittingSettings) -> Head:
    """Minimise the balanced binary cross-entropy; the weights kept are those of the lowest validation loss.

    Draws from PyTorch's global generator, as `learn_prototypes` does.
    """
    head = Head(learn.features.shape[1], hidden).to(learn.features.device)
    head.standardise_by(learn.features[learn.is_proxy == 0])
    optimizer = torch.optim.AdamW(head.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay)
    best_loss, best_state, waited = float("inf"), copy.deepcopy(head.state_dict()), 0
    for _ in range(settings.epochs):
        head.train()
        for chosen in torch.split(torch.randperm(len(learn.features)), settings.batch_size):
            loss = _balanced_loss(head(learn.features[chosen]), learn.is_proxy[chosen])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        head.eval()
        with torch.no_grad():
            validation_loss = _balanced_loss(head(validate.features), validate.is_proxy).item()
        waited += 1
        if validation_loss < best_loss:
            best_loss, best_state, waited = validation_loss, copy.deepcopy(head.state_dict()), 0
        if waited > settings.patience:
            break
    if best_loss == float("inf"):
        raise CalibrationError("the head's loss was never finite; check that the classifier's outputs are")
    head.load_state_dict(best_state)
    return head.eval().requires_grad_(False)


def _balanced_loss(scores: Float[Tensor, " image"], is_proxy: Float[Tensor, " image"]) -> Float[Tensor, ""]:
    """Mean cross-entropy in nats of each kind, averaged over the two kinds; a kind that is absent counts nothing."""
    losses = functional.softplus(torch.where(is_proxy > 0, -scores, scores))
    present = [losses[is_proxy == kind] for kind in (0.0, 1.0) if (is_proxy == kind).any()]
    return torch.stack([part.mean() for part in present]).mean()
