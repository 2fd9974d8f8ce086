import itertools

import pytest
import torch

from models.classifier import Classifier
from models.errors import ModelError
from models.soft_trees import Routing, SoftTrees


def small(n_trees: int = 3, depth: int = 2) -> SoftTrees:
    torch.manual_seed(0)
    trees = SoftTrees(4, n_trees=n_trees, depth=depth, n_labels=2)
    torch.nn.init.normal_(trees.leaves.logits)
    return trees


def test_a_tree_of_depth_two_multiplies_the_decisions_on_the_way_to_each_leaf() -> None:
    root, first, second = 0.25, 0.5, 0.9
    decisions = torch.tensor([[root, first, second]]).logit()
    reached = Routing(n_trees=1, depth=2)(decisions)
    expected = [0.25 * 0.5, 0.25 * 0.5, 0.75 * 0.9, 0.75 * 0.1]
    assert reached[0, 0].tolist() == pytest.approx(expected)


def test_every_leaf_is_reached_as_often_as_walking_down_the_tree_says() -> None:
    depth = 4
    decisions = torch.randn(1, 2 * (2**depth - 1), generator=torch.Generator().manual_seed(1))
    left = decisions.view(2, -1).sigmoid()
    reached = Routing(n_trees=2, depth=depth)(decisions)[0]
    for tree, turns in itertools.product(range(2), itertools.product((0, 1), repeat=depth)):
        node, leaf, probability = 0, 0, 1.0
        for turn in turns:
            probability *= float(1 - left[tree, node] if turn else left[tree, node])
            node, leaf = 2 * node + 1 + turn, 2 * leaf + turn
        assert float(reached[tree, leaf]) == pytest.approx(probability, rel=1e-5)


def test_hard_decisions_give_the_logits_of_one_leaf_of_each_tree() -> None:
    trees = small(n_trees=2, depth=2)
    with torch.no_grad():
        trees.decisions.weight.zero_()
        # The first tree goes left and left, the second right and left.
        trees.decisions.bias.copy_(torch.tensor([50.0, 50, -50, -50, 50, 50]))
    logits = trees(torch.rand(1, 1, 2, 2))
    expected = trees.leaves.logits[0, 0] + trees.leaves.logits[1, 2]
    assert torch.allclose(logits[0], expected)


def test_swapping_the_children_of_a_root_and_its_sign_changes_nothing() -> None:
    trees, images = small(n_trees=1, depth=2), torch.rand(5, 1, 2, 2)
    before = trees(images)
    with torch.no_grad():
        for parameter in (trees.decisions.weight, trees.decisions.bias):
            parameter[0] = -parameter[0]
            parameter[1:3] = parameter[[2, 1]]
        trees.leaves.logits[0] = trees.leaves.logits[0, [2, 3, 0, 1]]
    assert torch.allclose(trees(images), before, atol=1e-6)


def test_a_classifier_of_trees_gives_routing_probabilities_and_gradients_in_pixels() -> None:
    classifier = Classifier(
        small(),
        mean=(0.5,),
        std=(0.5,),
        representations=("decisions", "routing"),
        labels=("a", "b"),
        input_shape=(1, 2, 2),
    ).folded()
    pixels = torch.rand(5, 1, 2, 2, requires_grad=True)
    outputs = classifier(pixels)
    assert outputs.representations["decisions"].shape == (5, 9)
    assert outputs.representations["routing"].shape == (5, 3, 4)
    assert torch.allclose(outputs.representations["routing"].sum(2), torch.ones(5, 3))
    outputs.logits[:, 0].sum().backward()
    assert (pixels.grad.flatten(1).abs().sum(1) > 0).all()


def test_trees_without_an_inner_node_are_refused() -> None:
    with pytest.raises(ModelError, match="depth 0"):
        SoftTrees(4, depth=0)
