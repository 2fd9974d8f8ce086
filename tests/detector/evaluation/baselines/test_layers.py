import dataclasses
from typing import Any

import torch

from detector.evaluation.baselines.layers import layers_of, layers_of_all, penultimate


@dataclasses.dataclass(frozen=True)
class Outputs:
    logits: torch.Tensor
    representations: dict[str, torch.Tensor]


def test_maps_and_tokens_are_averaged_over_space_and_vectors_kept() -> None:
    maps = torch.arange(16.0).view(1, 2, 2, 4)
    tokens = torch.tensor([[[1.0, 10.0], [3.0, 30.0]]])
    found = layers_of(Outputs(torch.zeros(1, 3), {"maps": maps, "tokens": tokens, "vector": torch.tensor([[5.0]])}))
    assert {name: values.tolist() for name, values in found.items()} == {
        "maps": [[3.5, 11.5]],
        "tokens": [[2.0, 20.0]],
        "vector": [[5.0]],
    }
    assert penultimate(found).tolist() == [[5.0]]


def test_without_representations_the_logits_are_taken() -> None:
    assert layers_of(Outputs(torch.ones(2, 3), {}))["logits"].shape == (2, 3)


def test_many_images_pass_in_order_and_in_parts(corners: Any) -> None:
    images = torch.rand(40_000, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    found = layers_of_all(corners, images)
    assert len(corners.batches) > 1
    assert torch.allclose(found["map"][:, 0], images.double().mean((1, 2, 3)), atol=1e-6)
