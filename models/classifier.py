"""A trained network as the detector sees it: pixels in [0, 1] go in, logits and named representations come out."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from models.errors import ModelError
from models.files import tensor_digest


@dataclasses.dataclass(frozen=True, slots=True)
class Outputs:
    """What one forward pass gives.

    Attributes:
        logits: shape (image, label).
        representations: by module name, in network order; each with the image axis first.
    """

    logits: Float[Tensor, "image label"]
    representations: Mapping[str, Tensor]


# Hooks write where the running call says, so that two threads may call one classifier at once.
_captured: ContextVar[dict[str, Tensor] | None] = ContextVar("captured", default=None)


class Classifier(nn.Module):
    """A frozen network in eval mode with its normalisation inside.

    Args:
        network: maps normalised images to logits.
        mean, std: per channel, for pixels in [0, 1].
        representations: names of the modules whose outputs are wanted, as in `network.named_modules()`.
        labels: the name of each label.
        input_shape: (channel, height, width) of what the network takes.

    Raises:
        ModelError: a named module does not exist, or mean and std do not fit the channels.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        network: nn.Module,
        *,
        mean: Sequence[float],
        std: Sequence[float],
        representations: Sequence[str],
        labels: Sequence[str],
        input_shape: tuple[int, int, int],
    ) -> None:
        super().__init__()
        if not len(mean) == len(std) == input_shape[0]:
            raise ModelError(
                f"mean has {len(mean)} and std {len(std)} values, but the input has {input_shape[0]} channels; "
                "give one of each per channel"
            )
        if not representations:
            raise ModelError("no representation is named; name at least one module whose output is one")
        self.network = network
        self.labels = tuple(labels)
        self.input_shape = input_shape
        self.representations = tuple(representations)
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(1, -1, 1, 1))
        modules = dict(network.named_modules())
        for name in representations:
            if name not in modules:
                raise ModelError(
                    f"the network has no module {name!r}; those at its top are "
                    f"{', '.join(child for child, _ in network.named_children())}"
                )
            modules[name].register_forward_hook(_capture_as(name))
        self.freeze()

    def freeze(self) -> "Classifier":
        """Put the network in eval mode and stop gradients to its weights; gradients to pixels still flow."""
        self.eval()
        self.requires_grad_(False)
        return self

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.mean.device

    def forward(self, pixels: Float[Tensor, "image channel height width"]) -> Outputs:
        """Classify pixels in [0, 1]."""
        captured: dict[str, Tensor] = {}
        token = _captured.set(captured)
        try:
            logits = self.network((pixels - self.mean) / self.std)
        finally:
            _captured.reset(token)
        return Outputs(logits, {name: captured[name] for name in self.representations})

    def digest(self) -> str:
        """sha256 over weights, normalisation and the names of the representations."""
        names = "\n".join(self.representations).encode()
        head = torch.frombuffer(bytearray(names), dtype=torch.uint8)
        state = sorted(self.state_dict().items())
        return tensor_digest([head, *(tensor for _, tensor in state)])


def _capture_as(name: str) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
    def hook(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        captured = _captured.get()
        if captured is not None:
            captured[name] = output

    return hook
