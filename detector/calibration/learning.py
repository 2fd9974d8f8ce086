"""Learns prototypes, mixing weights and a head together, against proxies that are new at every step.

The pixels of the prototypes are what is learned: where along the way from an image to its class the evidence shows
best is decided by where that way ends. A pool of proxies made once would be learned by heart.
"""

import dataclasses
import itertools
import math
from collections.abc import Iterator

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from detector.calibration.stream import Batch
from detector.head import Head
from detector.profiles import PathProfiler
from detector.prototypes.prototype_set import PrototypeKind, PrototypeSet
from detector.types import CalibrationError, ProgressCallback, to_stored


@dataclasses.dataclass(frozen=True, kw_only=True)
class LearningSettings:
    """How prototypes are learned.

    Attributes:
        steps: gradient steps, each on one batch of the stream.
        prototype_rate, mixing_rate, head_rate: peak learning rates of Adam; prototypes and mixing weights move in
            logit space, which keeps them in (0, 1).
        standardising_batches: batches that the features' scale is read off before the first step.
    """

    steps: int = 800
    prototype_rate: float = 0.03
    mixing_rate: float = 0.01
    head_rate: float = 2e-3
    weight_decay: float = 1e-4
    standardising_batches: int = 8


def learn_prototypes(
    profiler: PathProfiler,
    start: PrototypeSet,
    mixing: Float[Tensor, " waypoint"],
    batches: Iterator[Batch],
    settings: LearningSettings,
    hidden: tuple[int, ...],
    progress: ProgressCallback,
) -> tuple[PrototypeSet, Float[Tensor, " waypoint"]]:
    """Move prototypes and mixing weights so that a head on the paths' evidence tells proxies from clean images.

    Returns them rounded to what a bundle stores; the head that helped is thrown away. Draws from PyTorch's global
    generator (first weights, dropout): `calibrate` lends it a state of its own.

    Raises:
        CalibrationError: the loss stops being finite.
    """
    device = profiler.classifier.device
    prototype_logits = _logit(start.pixels().to(device)).requires_grad_(True)
    mixing_logits = _logit(mixing.to(device)).requires_grad_(True)
    head = new_head(profiler, start.pixels().to(device), mixing.to(device), batches, settings, hidden)
    optimizer = torch.optim.Adam(
        [
            {"params": [prototype_logits], "lr": settings.prototype_rate},
            {"params": [mixing_logits], "lr": settings.mixing_rate},
            {"params": head.parameters(), "lr": settings.head_rate, "weight_decay": settings.weight_decay},
        ]
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate_share(step, settings.steps))
    running_loss = math.log(2)
    head.train()
    for step in range(settings.steps):
        batch = next(batches)
        optimizer.zero_grad()
        loss = _backpropagate(profiler, head, batch, prototype_logits, mixing_logits)
        if not math.isfinite(loss):
            raise CalibrationError(f"learning prototypes diverged at step {step}; lower the prototypes' learning rate")
        optimizer.step()
        schedule.step()
        running_loss += 0.05 * (loss - running_loss)
        progress(f"learning prototypes, loss {running_loss:.3f}", step + 1, settings.steps)
    stored = to_stored(prototype_logits.detach().sigmoid())
    learned = dataclasses.replace(start, images=stored, kinds=(PrototypeKind.LEARNED,) * start.n_prototypes)
    return learned, mixing_logits.detach().sigmoid().cpu()


def new_head(
    profiler: PathProfiler,
    prototypes: Tensor,
    mixing: Tensor,
    batches: Iterator[Batch],
    settings: LearningSettings,
    hidden: tuple[int, ...],
) -> Head:
    """A head that knows the scale of the features but nothing else yet."""
    drawn = itertools.islice(batches, settings.standardising_batches)
    features = torch.cat([profiler.features(batch.clean, prototypes, mixing) for batch in drawn])
    head = Head(features.shape[1], hidden).to(features.device)
    head.standardise_by(features)
    return head


def _backpropagate(
    profiler: PathProfiler, head: Head, batch: Batch, prototype_logits: Tensor, mixing_logits: Tensor
) -> float:
    """Add the gradient of the batch's loss; returns it: binary cross-entropy in nats, both kinds weighing the same.

    One forward pass after the other, since what backpropagation keeps of all paths at once would not fit.
    """
    images = torch.cat([batch.clean, batch.proxies])
    kinds = [(1.0, len(batch.clean)), (-1.0, len(batch.proxies))]
    share = 1 / sum(n > 0 for _, n in kinds)
    signs = torch.cat([torch.full((n,), sign) for sign, n in kinds]).to(images.device)
    weights = torch.cat([torch.full((n,), share / max(1, n)) for _, n in kinds]).to(images.device)
    total = 0.0
    parts = (profiler.split(rows, prototype_logits, mixing_logits) for rows in (images, signs, weights))
    for part, sign, weight in zip(*parts, strict=True):
        scores = head(profiler.measure(part, prototype_logits.sigmoid(), mixing_logits.sigmoid()).features)
        loss = (weight * functional.softplus(sign * scores)).sum()
        loss.backward()
        total += loss.item()
    return total


def _rate_share(step: int, steps: int) -> float:
    """Short rise, then half a cosine down to a twentieth."""
    rise = min(1.0, (step + 1) / max(1, steps // 20))
    return rise * (0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * step / max(1, steps))))


def _logit(values: Tensor) -> Tensor:
    """Where a sigmoid gives these values; the ends are pulled in, where its slope would be nothing."""
    return values.clamp(0.02, 0.98).logit()
