import math

import pytest
import torch

from detector.search.tangents import tangents_along


def test_the_tangent_points_to_the_higher_neighbour() -> None:
    nodes = torch.tensor([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0]]).view(1, 3, 1, 1, 2)
    rising, before, after = tangents_along(nodes, torch.tensor([[0.0, 1.0, 2.0]]))
    falling, _, _ = tangents_along(nodes, torch.tensor([[2.0, 1.0, 0.0]]))
    top, _, _ = tangents_along(nodes, torch.tensor([[0.0, 3.0, 1.0]]))
    assert rising[0, 1].flatten().tolist() == [0.0, 1.0]
    assert falling[0, 1].flatten().tolist() == [1.0, 0.0]
    # The higher neighbour is ahead, 2 below the node; the other 3 below: weights 3 ahead and 2 behind.
    assert top[0, 1].flatten().tolist() == pytest.approx([2 / math.sqrt(13), 3 / math.sqrt(13)])
    assert before[0, 1].item() == after[0, 1].item() == 1.0
