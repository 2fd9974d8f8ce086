"""Networks whose intermediate values are no module's outputs: each passes through a tap, which hooks can watch."""

import contextlib
from collections.abc import Sequence

from torch import Tensor, nn

from models.errors import ModelError


class Tap(nn.Module):
    """Gives what it is given."""

    def forward(self, values: Tensor) -> Tensor:
        return values


class Tapped(nn.Module):
    """A network that computes its representations as outputs of a graph, beside its logits.

    Args:
        representations: their names, which may hold dots and slashes.

    Attributes:
        taps: by name of a representation, the module that it passes through; nothing downstream depends on them.
    """

    def __init__(self, representations: Sequence[str]) -> None:
        super().__init__()
        # No ModuleDict, whose names may not hold dots.
        self.taps: dict[str, Tap] = {name: Tap() for name in representations}

    def tapped(self, logits: Tensor, representations: Sequence[Tensor]) -> Tensor:
        """Pass each representation, given in the order of `taps`, through its tap; the logits come back as they are.

        Raises:
            ModelError: there are more or fewer than taps.
        """
        if len(representations) != len(self.taps):
            raise ModelError(f"the graph gives {len(representations)} representations, {len(self.taps)} are named")
        for tap, representation in zip(self.taps.values(), representations, strict=True):
            tap(representation)
        return logits

    def train(self, mode: bool = True) -> "Tapped":
        """Switch the mode of all parts but those whose mode is frozen in their graph."""
        self.training = mode
        for child in self.children():
            with contextlib.suppress(NotImplementedError):
                child.train(mode)
        return self
