"""Fits the head that is kept, once prototypes and mixing weights stand still."""

import copy
import dataclasses
import itertools
from collections.abc import Iterator

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn import functional

from detector.calibration.stream import NO_TALLY, Batch, Tally
from detector.conformal import ConformalScores
from detector.head import Head
from detector.profiles import PathProfiler
from detector.scorer import Scorer
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
    validation_share: float = 0.12
    epochs: int = 200
    patience: int = 25
    batch_size: int = 256
    learning_rate: float = 2e-3
    weight_decay: float = 1e-3


@dataclasses.dataclass(frozen=True, kw_only=True)
class Examples:
    """What batches of the stream showed.

    Attributes:
        features: of all images.
        is_proxy: 1 a proxy, 0 a clean image.
        claims, labels, true_labels: of the proxies alone, in their order: what speaks for each label, the label
            predicted and the true one.
        tally: how making the proxies went.
    """

    features: Float[Tensor, "image feature"]
    is_proxy: Float[Tensor, " image"]
    claims: Float[Tensor, "proxy label claim"]
    labels: Int64[Tensor, " proxy"]
    true_labels: Int64[Tensor, " proxy"]
    tally: Tally = NO_TALLY

    @classmethod
    def without_claims(cls, features: Float[Tensor, "image feature"], is_proxy: Float[Tensor, " image"]) -> "Examples":
        """What a head alone can learn from."""
        nothing = torch.zeros(0, dtype=torch.int64)
        return cls(
            features=features, is_proxy=is_proxy, claims=torch.zeros(0, 1, 1), labels=nothing, true_labels=nothing
        )

    def with_more(self, others: "Examples", copies: int) -> "Examples":
        """These and others, each of which counts so many times; the claims stay those of these."""
        return dataclasses.replace(
            self,
            features=torch.cat([self.features, others.features.repeat(copies, 1)]),
            is_proxy=torch.cat([self.is_proxy, others.is_proxy.repeat(copies)]),
        )


@torch.no_grad()
def collect_examples(
    profiler: PathProfiler,
    prototypes: Tensor,
    mixing: Tensor,
    batches: Iterator[Batch],
    n_batches: int,
    progress: ProgressCallback,
) -> Examples:
    """Measure the paths of `n_batches` batches."""
    features, claims, labels, is_proxy, true_labels, tally = [], [], [], [], [], NO_TALLY
    for done, batch in enumerate(itertools.islice(batches, n_batches), 1):
        images = torch.cat([batch.clean, batch.proxies])
        flags = torch.arange(len(images), device=images.device) >= len(batch.clean)
        parts = (profiler.split(rows, prototypes, mixing) for rows in (images, flags))
        for part, is_attacked in zip(*parts, strict=True):
            evidence = profiler.measure(part, prototypes, mixing)
            features.append(evidence.features)
            # Claims grow with the labels, and nobody asks for those of clean images.
            claims.append(evidence.claims[is_attacked])
            labels.append(evidence.labels[is_attacked])
        is_proxy.append(flags.float())
        true_labels.append(batch.true_labels)
        tally += batch.tally
        progress("measuring clean images and proxies", done, n_batches)
    return Examples(
        features=torch.cat(features),
        is_proxy=torch.cat(is_proxy),
        claims=torch.cat(claims),
        labels=torch.cat(labels),
        true_labels=torch.cat(true_labels),
        tally=tally,
    )


def require_proxies(examples: Examples) -> Examples:
    """The examples, if any of them is a proxy.

    Raises:
        CalibrationError: no proxy succeeded, so that there is nothing to tell clean images from.
    """
    if not examples.is_proxy.any():
        raise CalibrationError(
            "none of the proxies fooled the classifier, so nothing can be learned from them; "
            "allow a larger radius, more queries where there is no gradient, or make none"
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
            loss = balanced_loss(head(learn.features[chosen]), learn.is_proxy[chosen])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        head.eval()
        with torch.no_grad():
            validation_loss = balanced_loss(head(validate.features), validate.is_proxy).item()
        waited += 1
        if validation_loss < best_loss:
            best_loss, best_state, waited = validation_loss, copy.deepcopy(head.state_dict()), 0
        if waited > settings.patience:
            break
    if best_loss == float("inf"):
        raise CalibrationError("the head's loss was never finite; check that the classifier's outputs are")
    head.load_state_dict(best_state)
    return head.eval().requires_grad_(False)


@torch.no_grad()
def loss_figures(head: Head, validate: Examples) -> dict[str, float]:
    """The head's loss in nats on images that it did not learn from; they decided when to stop, which flatters it."""
    return {"validation_loss": balanced_loss(head(validate.features), validate.is_proxy).item()}


@torch.no_grad()
def proxy_figures(
    head: Scorer, conformal: ConformalScores, validate: Examples, rates: tuple[float, ...]
) -> dict[str, float]:
    """How many proxies of images that the head did not learn from would be flagged.

    These images decided when to stop, so that is a little kinder than fresh images would be.
    """
    p_values = conformal.p_values(head(validate.features[validate.is_proxy > 0]))
    return {f"proxies_flagged_at_{rate}": float((p_values <= rate).double().mean()) for rate in rates}


def fit_claim_weights(examples: Examples) -> Float[Tensor, " claim"]:
    """How much each claim counts towards the true label of an attacked image: a conditional logit (McFadden 1974).

    One weight a claim, shared by all labels, so that it holds for labels with few proxies too. Full-batch L-BFGS on
    the cross-entropy of the true label among all but the predicted one.
    """
    spread = examples.claims.flatten(0, 1).std(0).clamp_min(1e-6)
    scaled = examples.claims / spread
    weights = torch.zeros(scaled.shape[2], device=scaled.device, requires_grad=True)
    optimizer = torch.optim.LBFGS([weights], max_iter=100, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        standing = (scaled @ weights).scatter(1, examples.labels[:, None], -torch.inf)
        loss = functional.cross_entropy(standing, examples.true_labels) + 1e-3 * weights.square().sum()
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    with torch.enable_grad():
        optimizer.step(closure)  # type: ignore[no-untyped-call]
    return (weights.detach() / spread).cpu()


def balanced_loss(scores: Float[Tensor, " image"], is_proxy: Float[Tensor, " image"]) -> Float[Tensor, ""]:
    """Mean cross-entropy in nats of each kind, averaged over the two kinds; a kind that is absent counts nothing."""
    losses = functional.softplus(torch.where(is_proxy > 0, -scores, scores))
    present = [losses[is_proxy == kind] for kind in (0.0, 1.0) if (is_proxy == kind).any()]
    return torch.stack([part.mean() for part in present]).mean()
