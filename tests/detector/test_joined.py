import math

import pytest
import torch

from detector.head import Head
from detector.joined import Joined
from detector.typicality import Typicality


@pytest.fixture
def joined() -> Joined:
    """Two features: the learned head scores three times the first, typicality looks at both.

    Clean images score 1 with the learned head, and 2 where they are high; 0 and 0.5 in typicality.
    """
    learned = Head(2, ())
    learned.layers[0].load_state_dict({"weight": torch.tensor([[3.0, 0.0]]), "bias": torch.zeros(1)})
    head = Joined(learned, Typicality(2)).eval()
    head.middle.copy_(torch.tensor([1.0, 0.0]))
    head.spread.copy_(torch.tensor([1.0, 0.5]))
    return head.requires_grad_(False)


def test_scores_add_up_in_units_of_what_clean_images_score(joined: Joined) -> None:
    features = torch.tensor([[1.0, 2.0]])
    # The learned head says 3, which is 2 above the middle; typicality says log((1 + 4) / 2), in halves.
    assert joined(features).item() == pytest.approx(2 + 2 * math.log(2.5), abs=1e-5)


def test_the_score_rises_with_either_part_alone(joined: Joined) -> None:
    usual, learned_alone, typicality_alone = joined(torch.tensor([[-1.0, 1.0], [1.0, 1.0], [-1.0, 3.0]])).tolist()
    parts = joined.parts(torch.tensor([[-1.0, 1.0], [1.0, 1.0], [-1.0, 3.0]]))
    assert parts[0, 1] == parts[1, 1]
    assert parts[0, 0] == parts[2, 0]
    assert usual < min(learned_alone, typicality_alone)


def test_the_unit_of_a_part_does_not_matter(joined: Joined) -> None:
    features = torch.tensor([[1.0, 2.0], [0.5, -1.0]])
    before = joined(features)
    joined.learned.layers[0].weight.mul_(10)
    joined.middle[0] *= 10
    joined.spread[0] *= 10
    torch.testing.assert_close(joined(features), before)


def test_gradients_pass_the_cut_off_of_both_parts(joined: Joined) -> None:
    features = torch.tensor([[20.0, 0.0]], requires_grad=True)
    assert joined.passing_gradients(features).item() == pytest.approx(joined(features).item())
    (blocked,) = torch.autograd.grad(joined(features).sum(), features)
    assert blocked.tolist() == [[0, 0]]
    (passed,) = torch.autograd.grad(joined.passing_gradients(features).sum(), features)
    # 3 of the learned head, and d log(x² / 2) / dx at the cut-off of 8, in halves.
    assert passed[0, 0].item() == pytest.approx(3 + 2 * 2 / 8, abs=1e-4)


def test_nan_features_give_nan(joined: Joined) -> None:
    assert joined(torch.tensor([[torch.nan, 0.0]])).isnan().all()


def test_the_graph_of_the_score_takes_any_number_of_images(joined: Joined) -> None:
    images = torch.export.Dim("images", min=1, max=64)
    exported = torch.export.export(joined, (torch.randn(3, 2),), dynamic_shapes=({0: images},)).module()
    features = torch.randn(7, 2, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(exported(features), joined(features))
