"""When learning has gone on long enough: what it would lose on images that it never learns from."""

import dataclasses
import itertools
from collections.abc import Iterator

import torch
from jaxtyping import Float
from torch import Tensor

from detector.calibration.fitting import balanced_loss
from detector.calibration.stream import Batch
from detector.head import Head
from detector.profiles import PathProfiler
from detector.types import Images


@dataclasses.dataclass(frozen=True, kw_only=True)
class Checker:
    """Clean images and proxies, drawn once, on which every check is made.

    Attributes:
        images: pixels in [0, 1], on the CPU, since they lie idle between checks.
        is_proxy: 1 a proxy, 0 a clean image.
    """

    images: Images
    is_proxy: Float[Tensor, " image"]

    @classmethod
    def drawn(cls, batches: Iterator[Batch], n_batches: int) -> "Checker":
        """Take the images of so many batches."""
        images, is_proxy = [], []
        for batch in itertools.islice(batches, n_batches):
            images += [batch.clean.cpu(), batch.proxies.cpu()]
            is_proxy += [torch.zeros(len(batch.clean)), torch.ones(len(batch.proxies))]
        return cls(images=torch.cat(images), is_proxy=torch.cat(is_proxy))

    @torch.no_grad()
    def loss(
        self,
        profiler: PathProfiler,
        head: Head,
        prototypes: Float[Tensor, "label prototype channel height width"],
        mixing: Float[Tensor, " waypoint"],
    ) -> float:
        """Balanced cross-entropy in nats of a head that is learning; dropout is off meanwhile."""
        head.eval()
        device = profiler.classifier.device
        parts = profiler.split(self.images, prototypes, mixing)
        scores = [head(profiler.measure(part.to(device), prototypes, mixing).features) for part in parts]
        head.train()
        return balanced_loss(torch.cat(scores), self.is_proxy.to(device)).item()


@dataclasses.dataclass(kw_only=True)
class BestSoFar:
    """The lowest loss of all checks, with what had been learned by then.

    Attributes:
        patience: checks without a lower loss after which to stop.
        kept: what was learned by then: prototypes and mixing weights; before the first check, where learning starts.
        step: gradient steps that led to what is kept.
        waited: checks since then.
    """

    patience: int
    kept: tuple[Tensor, Tensor]
    loss: float = float("inf")
    step: int = 0
    waited: int = 0

    def see(self, loss: float, step: int, learned: tuple[Tensor, Tensor]) -> None:
        """Take note of a check; a loss that is not finite is never the lowest."""
        self.waited += 1
        if loss < self.loss:
            self.loss, self.step, self.waited, self.kept = loss, step, 0, learned

    @property
    def is_over(self) -> bool:
        """Whether patience has run out."""
        return self.waited >= self.patience
