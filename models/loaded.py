"""A classifier ready for use, wherever it came from."""

import dataclasses

import torch

from models.adapters.adapted import NetworkKind
from models.classifier import Classifier
from models.errors import ModelError, one_line
from models.preprocessing import Preprocessing


@dataclasses.dataclass(frozen=True, kw_only=True)
class LoadedClassifier:
    """What inspecting images with a classifier takes.

    Attributes:
        name: as registered, or as its spec calls it.
        classifier: frozen, with batch norms folded; `digest()` is that of the weights as shipped.
        preprocessing: turns decoded images into the pixels it takes.
        kind: what its network was made from.
        is_differentiable: whether gradients reach the pixels.
        limits: what is not possible and why, one sentence each.
    """

    name: str
    classifier: Classifier
    preprocessing: Preprocessing
    kind: NetworkKind = NetworkKind.FACTORY
    is_differentiable: bool = True
    limits: tuple[str, ...] = ()


def parse_device(device: str | torch.device) -> torch.device:
    """Raise ModelError unless tensors can be put on `device`."""
    try:
        parsed = torch.device(device)
        torch.empty(1, device=parsed)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise ModelError(f"the device {str(device)!r} is not to be had here ({one_line(error)}); try 'cpu'") from error
    return parsed
