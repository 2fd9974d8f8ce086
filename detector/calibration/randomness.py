"""Random numbers that are the calibration's own."""

import contextlib
from collections.abc import Iterator

import torch


@contextlib.contextmanager
def own_randomness(seed: int, device: torch.device) -> Iterator[None]:
    """Let dropout and first weights draw from a state of our own; the caller's global generator stays as it was."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield
