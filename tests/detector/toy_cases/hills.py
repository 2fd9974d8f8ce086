"""Two images of one label, with and without a hill on the way from one to the other."""

from typing import Any

import torch
from torch import Tensor

from detector.evaluation.explanation import Explanation

MEANS = (0.9, 0.2, 0.2, 0.2), (0.9, 0.5, 0.5, 0.5)
"""Brightness by quarter of two images that `corners` takes for its first label."""


def quarters(means: tuple[float, ...]) -> Tensor:
    return torch.tensor(means).view(1, 2, 2).repeat_interleave(2, 1).repeat_interleave(2, 2)


START, END = quarters(MEANS[0]), quarters(MEANS[1])


def all_but_hill(pixels: Tensor) -> Tensor:
    """40 times the quarters' means."""
    return 40 * torch.nn.functional.avg_pool2d(pixels[:, 0], 2).flatten(1)


def with_a_hill(pixels: Tensor) -> Tensor:
    """Near the middle between START and END, a little to one side of it, the first label loses 40 logits."""
    top = (START + END) / 2
    top = top + 0.03 * quarters((0.0, 1.0, -1.0, 0.0)) / 8**0.5
    hill = 40 * torch.exp(-(pixels - top).square().flatten(1).sum(1) / (2 * 0.15**2))
    logits = all_but_hill(pixels)
    return torch.cat([logits[:, :1] - hill[:, None], logits[:, 1:]], 1)


def searched(explanation: Explanation) -> Any:
    assert explanation.connection is not None
    assert explanation.connection.search is not None
    assert explanation.connection.found is not None
    return explanation.connection
