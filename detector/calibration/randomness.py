"""Random numbers that are the calibration's own."""

import contextlib
import math
from collections.abc import Iterator

import torch
from torch import Tensor


@contextlib.contextmanager
def own_randomness(seed: int, device: torch.device) -> Iterator[None]:
    """Let dropout and first weights draw from a state of our own; the caller's global generator stays as it was."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield


def log_uniform(low: float, high: float, uniform: Tensor) -> Tensor:
    """Numbers uniform in [0, 1) as numbers from `low` to `high`, every ratio as likely as its equals."""
    return low * (uniform * math.log(high / low)).exp()
