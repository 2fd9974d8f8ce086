import re
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from detector.onnx_export.exporting import ExportError, export_onnx

GENERATOR = torch.Generator().manual_seed(0)


class Twice(nn.Module):
    """One layer called on the images and on their mirror images; distances, places among sorted numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(12, 3)
        self.sorted = torch.tensor([-1.0, 0.0, 0.0, 2.0], dtype=torch.float64)

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        first, second = self.layer(pixels.flatten(1)), self.layer(pixels.flip(3).flatten(1))
        distances = torch.cdist(first + second, self.layer.weight.T, compute_mode="donot_use_mm_for_euclid_dist")
        values = pixels[:, 0, 0, 0].double()
        left, right = (torch.searchsorted(self.sorted, values, side=side) for side in ("left", "right"))
        return distances, left, right


@pytest.fixture(scope="module")
def twice() -> tuple[Any, Any]:
    module = Twice().requires_grad_(False)
    stages = []
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = export_onnx(
            module, torch.zeros(3, 1, 3, 4), ["distances", "left", "right"], progress=lambda *told: stages.append(told)
        )
    assert [done for _, done, _ in stages] == [0, 1, 2, 3]
    return module, model


def test_distances_and_places_among_sorted_numbers_are_those_of_pytorch(
    twice: tuple[Any, Any], session_of: Callable[[Any], Any]
) -> None:
    module, model = twice
    pixels = torch.rand(5, 1, 3, 4, generator=GENERATOR)
    pixels[:, 0, 0, 0] = torch.tensor([0.0, -1.0, 2.0, 3.0, -2.0])
    distances, left, right = session_of(model).run(None, {"pixels": pixels.numpy()})
    expected = module(pixels)
    # Square roots of differences that almost cancel: which images are drawn depends on the tests before.
    np.testing.assert_allclose(distances, expected[0].numpy(), rtol=1e-5)
    assert left.tolist() == expected[1].tolist() == [1, 0, 3, 4, 0]
    assert right.tolist() == expected[2].tolist() == [3, 1, 4, 4, 0]


def test_a_weight_is_in_the_graph_once_and_no_path_of_a_file(twice: tuple[Any, Any]) -> None:
    _, model = twice
    shapes = [tuple(tensor.dims) for tensor in model.graph.initializer]
    assert shapes.count((3, 12)) == 1
    assert not re.search(rb"\.py|site-packages|stack_trace", model.SerializeToString())


def test_a_module_that_needs_to_know_how_many_images_there_are_is_refused() -> None:
    class Counting(nn.Module):
        def forward(self, pixels: Tensor) -> tuple[Tensor]:
            return (pixels.flatten(1) * len(list(pixels)),)

    with pytest.raises(ExportError, match="cannot be written as an ONNX graph"):
        export_onnx(Counting(), torch.zeros(3, 1, 2, 2), ["out"])
