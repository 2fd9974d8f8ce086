"""What every adapter gives: a network behind one interface, and what it can and cannot do."""

import dataclasses
import enum

from torch import nn


class NetworkKind(enum.StrEnum):
    """What a network was made from, in words for people."""

    TORCHVISION = "torchvision network"
    FACTORY = "network of a factory"
    EXPORTED_PROGRAM = "exported program (.pt2)"
    TORCHSCRIPT = "TorchScript (deprecated)"
    ONNX_RUNTIME = "ONNX graph in ONNX Runtime"
    ONNX_AS_TORCH = "ONNX graph as torch operations"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Adapted:
    """A network, wherever it came from.

    Attributes:
        network: maps normalised images (image, channel, height, width), float32, to logits (image, label).
        file_digest: sha256 of the one file that holds graph and weights; None where the state dict says all.
        representations: found by default, taken where the spec names none.
        is_differentiable: whether gradients reach the pixels.
        limits: what is not possible and why, one sentence each.
    """

    network: nn.Module
    kind: NetworkKind
    file_digest: str | None
    representations: tuple[str, ...]
    is_differentiable: bool
    limits: tuple[str, ...] = ()
