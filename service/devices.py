"""Where the arithmetic happens."""

import torch

from models.loaded import parse_device


def choose_device(name: str | None) -> torch.device:
    """Take the device that is named, or else the first CUDA device where there is one, or else the CPU.

    Raises:
        ModelError: torch does not know the name, or the device is not there.
    """
    return parse_device(name or ("cuda" if torch.cuda.is_available() else "cpu"))
