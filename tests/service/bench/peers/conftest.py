"""Material for toys, and peers whose scores are known."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Generator, Tensor

from detector.types import LabelledImages
from service.bench.peers.peer import PeerMaterial


@dataclasses.dataclass(frozen=True)
class Brightness:
    """Scores an image by its mean, or by nothing at all where it is black."""

    n_images: int | None = None
    name: str = "brightness"
    source: str = "this test"
    forward_equivalents: float = 0.0
    seen: list[int] = dataclasses.field(default_factory=list)

    def scores(self, images: Tensor) -> Tensor:
        self.seen.append(len(images))
        means = images.flatten(1).mean(1)
        return torch.where(means == 0, torch.nan, means)


@pytest.fixture
def brightness() -> type[Brightness]:
    return Brightness


@pytest.fixture
def material_of() -> Callable[..., PeerMaterial]:
    def make(classifier: Any, fitting: LabelledImages, proxies: Tensor | None, seed: int = 0) -> PeerMaterial:
        generator = Generator().manual_seed(seed)
        return PeerMaterial(classifier=classifier, fitting=fitting, proxies=proxies, generator=generator)

    return make


@pytest.fixture
def untouched_randomness() -> Any:
    """Fails where global random numbers were drawn or seeded anew."""
    before, numpy_before = torch.get_rng_state(), np.random.get_state()[1].copy()
    yield
    assert torch.equal(torch.get_rng_state(), before)
    assert np.array_equal(np.random.get_state()[1], numpy_before)
