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
from detector.types import CalibrationError, ProgressCallback


@dataclasses.dataclass(frozen=True, kw_only=True)
class LearningSettings:
    """How prototypes are learned.

    Attributes:
        steps: gradient steps, each on one batch of the stream.
        prototype_rate, mixing_rate, head_rate: peak learning rates of Adam; prototypes and mixing weights move in
            logit space, which keeps them in (0, 1).
        standardising_batches: batches that the features' scale is read off before the first step.
    """

    steps: int = 700
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
        loss = _batch_loss(profiler, head, batch, prototype_logits.sigmoid(), mixing_logits.sigmoid())
        if not loss.isfinite():
            raise CalibrationError(f"learning prototypes diverged at step {step}; lower the prototypes' learning rate")
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
        running_loss += 0.05 * (loss.item() - running_loss)
        progress(f"learning prototypes, loss {running_loss:.3f}", step + 1, settings.steps)
    stored = (prototype_logits.detach().sigmoid() * 255).round().to(torch.uint8).cpu()
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
    with torch.no_grad():
        drawn = itertools.islice(batches, settings.standardising_batches)
        features = torch.cat([profiler.measure(batch.clean, prototypes, mixing).features for batch in drawn])
    head = Head(features.shape[1], hidden).to(features.device)
    head.standardise_by(features)
    return head


def _batch_loss(
    profiler: PathProfiler, head: Head, batch: Batch, prototypes: Tensor, mixing: Tensor
) -> Float[Tensor, ""]:
    """Binary cross-entropy in nats, clean images and proxies weighing the same."""
    images = torch.cat([batch.clean, batch.proxies])
    scores = head(profiler.measure(images, prototypes, mixing).features)
    n_clean = len(batch.clean)
    clean_loss = functional.softplus(scores[:n_clean]).mean()
    if n_clean == len(scores):
        return clean_loss
    return (clean_loss + functional.softplus(-scores[n_clean:]).mean()) / 2


def _rate_share(step: int, steps: int) -> float:
    """Short rise, then half a cosine down to a twentieth."""
    rise = min(1.0, (step + 1) / max(1, steps // 20))
    return rise * (0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * step / steps)))


def _logit(values: Tensor) -> Tensor:
    """Where a sigmoid gives these values; the ends are pulled in, where its slope would be nothing."""
    return values.clamp(0.02, 0.98).logit()
