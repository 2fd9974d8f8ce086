"""Learns prototypes, mixing weights and a head together, against proxies that are new at every step.

The pixels of the prototypes are what is learned: where along the way from an image to its class the evidence shows
best is decided by where that way ends. A pool of proxies made once would be learned by heart.
"""

import dataclasses
import itertools
import math
from collections.abc import Iterator

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn import functional

from detector.calibration.membership import excesses
from detector.calibration.stopping import BestSoFar, Checker
from detector.calibration.stream import Batch
from detector.head import Head
from detector.profiles import PathProfiler
from detector.prototypes.prototype_set import PrototypeKind, PrototypeSet
from detector.types import CalibrationError, ProgressCallback, to_stored


@dataclasses.dataclass(frozen=True, kw_only=True)
class LearningSettings:
    """How prototypes are learned.

    Attributes:
        steps: gradient steps at most, each on one batch of the stream.
        prototype_rate, mixing_rate, head_rate: peak learning rates of Adam; prototypes and mixing weights move in
            logit space, which keeps them in (0, 1).
        standardising_batches: batches that the features' scale is read off before the first step.
        own_class_weight: what a nat of cross-entropy of a prototype for its own label weighs against a nat of the
            head's loss; 0 lets prototypes leave their class.
        own_class_allowance: cross-entropy in nats that costs a prototype nothing.
        check_every: steps between two checks on images that are not learned from.
        check_batches: batches of those images, drawn once.
        patience: checks without a lower loss after which learning stops.
    """

    steps: int = 800
    prototype_rate: float = 0.03
    mixing_rate: float = 0.01
    head_rate: float = 2e-3
    weight_decay: float = 1e-4
    standardising_batches: int = 8
    own_class_weight: float = 0.2
    own_class_allowance: float = 0.1
    check_every: int = 100
    check_batches: int = 8
    patience: int = 3

    def __post_init__(self) -> None:
        if not 0 <= self.own_class_weight < math.inf:
            raise CalibrationError(
                f"keeping prototypes in their class was to weigh {self.own_class_weight}; give a positive number, or "
                "0 to let them leave it"
            )
        if min(self.check_every, self.check_batches, self.patience) < 1:
            raise CalibrationError(
                f"learning was to be checked every {self.check_every} steps on {self.check_batches} batches and to "
                f"stop after {self.patience} checks in vain; each must be at least 1"
            )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Learned:
    """What learning ends with.

    Attributes:
        prototypes: rounded to what a bundle stores.
        mixing: mixing weights, shape (waypoint,).
        steps: gradient steps that led to them; more may have been taken in vain.
        loss: lowest of the checks, in nats; infinite where none was made.
    """

    prototypes: PrototypeSet
    mixing: Float[Tensor, " waypoint"]
    steps: int
    loss: float


def learn_prototypes(
    profiler: PathProfiler,
    start: PrototypeSet,
    mixing: Float[Tensor, " waypoint"],
    batches: Iterator[Batch],
    unseen: Iterator[Batch],
    settings: LearningSettings,
    hidden: tuple[int, ...],
    progress: ProgressCallback,
) -> Learned:
    """Move prototypes and mixing weights so that a head on the paths' evidence tells proxies from clean images.

    Those of the lowest check are kept; the head that helped is thrown away. Draws from PyTorch's global generator
    (first weights, dropout): `calibrate` lends it a state of its own.

    Args:
        batches: what is learned from.
        unseen: batches of other images, for the checks.

    Raises:
        CalibrationError: the loss stops being finite.
    """
    device = profiler.classifier.device
    head = new_head(profiler, start.pixels().to(device), mixing.to(device), batches, settings, hidden)
    learner = _Learner(profiler, start, mixing, head, settings)
    checker = Checker.drawn(unseen, settings.check_batches)
    best = BestSoFar(patience=settings.patience, kept=learner.learned())
    running_loss = math.log(2)
    for step in range(settings.steps):
        loss = learner.step(next(batches))
        if not math.isfinite(loss):
            raise CalibrationError(f"learning prototypes diverged at step {step}; lower the prototypes' learning rate")
        running_loss += 0.05 * (loss - running_loss)
        progress(f"learning prototypes, loss {running_loss:.3f}", step + 1, settings.steps)
        if (step + 1) % settings.check_every == 0 or step + 1 == settings.steps:
            best.see(learner.loss_on(checker), step + 1, learner.learned())
        if best.is_over:
            break
    pixels, weights = best.kept
    is_synthetic = all(kind.is_synthetic for kind in start.kinds)
    kind = PrototypeKind.LEARNED if is_synthetic else PrototypeKind.LEARNED_FROM_IMAGES
    learned = dataclasses.replace(start, images=to_stored(pixels), kinds=(kind,) * start.n_prototypes)
    return Learned(prototypes=learned, mixing=weights.cpu(), steps=best.step, loss=best.loss)


class _Learner:
    """Prototypes, mixing weights and a head on their way.

    Args:
        head: knows the scale of the features.
    """

    def __init__(
        self, profiler: PathProfiler, start: PrototypeSet, mixing: Tensor, head: Head, settings: LearningSettings
    ) -> None:
        device = profiler.classifier.device
        self.profiler = profiler
        self.head = head.train()
        self.settings = settings
        self.available = start.available.to(device)
        self.prototype_logits = _logit(start.pixels().to(device)).requires_grad_(True)
        self.mixing_logits = _logit(mixing.to(device)).requires_grad_(True)
        self.optimizer = torch.optim.Adam(
            [
                {"params": [self.prototype_logits], "lr": settings.prototype_rate},
                {"params": [self.mixing_logits], "lr": settings.mixing_rate},
                {"params": head.parameters(), "lr": settings.head_rate, "weight_decay": settings.weight_decay},
            ]
        )
        self.schedule = torch.optim.lr_scheduler.LambdaLR(
            self.optimizer, lambda step: _rate_share(step, settings.steps)
        )

    def learned(self) -> tuple[Tensor, Tensor]:
        """Prototypes and mixing weights as they are now, in (0, 1)."""
        return self.prototype_logits.detach().sigmoid(), self.mixing_logits.detach().sigmoid()

    def step(self, batch: Batch) -> float:
        """Take one gradient step; returns what the batch cost before it, in nats."""
        self.optimizer.zero_grad()
        loss, labels = backpropagate(self.profiler, self.head, batch, self.prototype_logits, self.mixing_logits)
        # Prototypes that no image of the batch has visited were not pushed; there may be thousands of them.
        loss += self._class_cost(torch.unique(labels))
        self.optimizer.step()
        self.schedule.step()
        return loss

    @torch.no_grad()
    def loss_on(self, checker: Checker) -> float:
        """What is minimised, in nats, on images that nothing is learned from; costs of leaving a class included."""
        loss = checker.loss(self.profiler, self.head, *self.learned())
        return loss + self._class_cost(self.available.nonzero()[:, 0])

    def _class_cost(self, labels: Int64[Tensor, " label"]) -> float:
        """Weighted mean excess of the prototypes of these labels, in nats; adds its gradient where one is taken."""
        weight = self.settings.own_class_weight
        labels = labels[self.available[labels]]
        if weight == 0 or len(labels) == 0:
            return 0.0
        share = weight / (len(labels) * self.prototype_logits.shape[1])
        allowance, total = self.settings.own_class_allowance, 0.0
        for excess in excesses(self.profiler.classifier, self.prototype_logits, labels, allowance):
            cost = share * excess.sum()
            if cost.requires_grad:
                cost.backward()  # type: ignore[no-untyped-call]
            total += cost.item()
        return total


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


def backpropagate(
    profiler: PathProfiler, head: Head, batch: Batch, prototype_logits: Tensor, mixing_logits: Tensor
) -> tuple[float, Int64[Tensor, " image"]]:
    """Add the gradient of the batch's loss; returns it, and the labels predicted for the batch.

    The loss is the binary cross-entropy in nats, clean images and proxies weighing the same. One forward pass after the
    other, since what backpropagation keeps of all paths at once would not fit.
    """
    images = torch.cat([batch.clean, batch.proxies])
    kinds = [(1.0, len(batch.clean)), (-1.0, len(batch.proxies))]
    share = 1 / sum(n > 0 for _, n in kinds)
    signs = torch.cat([torch.full((n,), sign) for sign, n in kinds]).to(images.device)
    weights = torch.cat([torch.full((n,), share / max(1, n)) for _, n in kinds]).to(images.device)
    total, labels = 0.0, []
    parts = (profiler.split(rows, prototype_logits, mixing_logits) for rows in (images, signs, weights))
    for part, sign, weight in zip(*parts, strict=True):
        evidence = profiler.measure(part, prototype_logits.sigmoid(), mixing_logits.sigmoid())
        loss = (weight * functional.softplus(sign * head(evidence.features))).sum()
        loss.backward()
        total += loss.item()
        labels.append(evidence.labels)
    return total, torch.cat(labels)


def _rate_share(step: int, steps: int) -> float:
    """Short rise, then half a cosine down to a twentieth."""
    rise = min(1.0, (step + 1) / max(1, steps // 20))
    return rise * (0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * step / max(1, steps))))


def _logit(values: Tensor) -> Tensor:
    """Where a sigmoid gives these values; the ends are pulled in, where its slope would be nothing."""
    return values.clamp(0.02, 0.98).logit()
