"""Trying a network on an image or two before it is trusted with more."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from models.errors import ModelError, one_line

OUT_OF_MEMORY = (torch.OutOfMemoryError, MemoryError)
"""What says nothing about the network that was tried."""
NO_GRADIENT = "No gradient of the logits reaches the pixels: a part of the network cannot be differentiated."


def grey_image(input_shape: tuple[int, int, int], device: torch.device) -> Float[Tensor, "1 channel height width"]:
    """What a network is tried on: zeros, which is about the middle of normalised pixels."""
    return torch.zeros(1, *input_shape, device=device)


def check_runs(network: nn.Module, example: Float[Tensor, "image channel height width"]) -> None:
    """Raise ModelError unless the network takes images of this shape and gives logits of shape (image, label)."""
    try:
        with torch.no_grad():
            logits = network(example)
    except OUT_OF_MEMORY:
        raise
    except Exception as error:
        raise ModelError(
            f"the network fails on an image of shape {tuple(example.shape[1:])} (channel, height, width): "
            f"{one_line(error)}; check channels and input_size"
        ) from error
    if not isinstance(logits, Tensor) or logits.ndim != 2 or len(logits) != len(example):
        shown = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        raise ModelError(f"for one image the network gives {shown}; a classifier gives logits of shape (1, label)")


def is_differentiable(network: nn.Module, example: Float[Tensor, "image channel height width"]) -> bool:
    """Whether a gradient of the logits reaches images of this shape: on two of noise it is finite, and not all zeros.

    One that is zero everywhere, as that of hard decisions is, is as good as none.
    """
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(2, *example.shape[1:], generator=generator).to(example.device).requires_grad_(True)
    try:
        with torch.enable_grad():
            logits = network(images)
            # Of probabilities the plain sum never changes.
            weights = torch.rand(logits.shape, generator=generator).to(logits)
            (gradient,) = torch.autograd.grad((weights * logits).sum(), images)
    except OUT_OF_MEMORY:
        raise
    # Graphs of other runtimes fail in their own ways; that they fail is the answer.
    except Exception:
        return False
    return bool(gradient.isfinite().all() and gradient.any())
