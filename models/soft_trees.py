"""Ensembles of soft decision trees (Kanoh & Sugiyama 2024, arXiv 2405.14596): classifiers that are no networks.

An inner node sends an input left with probability sigmoid(w·x + b) and right otherwise, so that every leaf is reached
with a probability; a tree answers with the leaves' logits weighted by these, and the ensemble with the trees' sum.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from models.errors import ModelError


class Routing(nn.Module):
    """From the decisions of all inner nodes to the probability of every leaf; has nothing to learn.

    Inner nodes are numbered level by level and from left to right, node n's children being 2n + 1 and 2n + 2.
    """

    def __init__(self, n_trees: int, depth: int) -> None:
        super().__init__()
        self.n_trees, self.depth = n_trees, depth

    def forward(self, decisions: Float[Tensor, "image node"]) -> Float[Tensor, "image tree leaf"]:
        """Leaves from left to right; `decisions` are logits of going left, the nodes of one tree after another."""
        left = decisions.view(len(decisions), self.n_trees, 2**self.depth - 1).sigmoid()
        reached = left.new_ones(len(decisions), self.n_trees, 1)
        for level in range(self.depth):
            going_left = left[:, :, 2**level - 1 : 2 ** (level + 1) - 1]
            reached = torch.stack([reached * going_left, reached * (1 - going_left)], 3).flatten(2)
        return reached


class Leaves(nn.Module):
    """Logits of every leaf of every tree, all zero at first, and their sum by the probability of each."""

    def __init__(self, n_trees: int, n_leaves: int, n_labels: int) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.zeros(n_trees, n_leaves, n_labels))

    def forward(self, reached: Float[Tensor, "image tree leaf"]) -> Float[Tensor, "image label"]:
        """Summed over trees and leaves."""
        return reached.flatten(1) @ self.logits.flatten(0, 1)


class SoftTrees(nn.Module):
    """Soft trees of one depth, side by side; takes images of any shape with `n_features` values, returns logits.

    Modules to take representations from: `decisions`, of shape (image, tree · node), and `routing`, the probability of
    each leaf, of shape (image, tree, leaf).

    Raises:
        ModelError: there is no tree, or trees have no inner node.
    """

    def __init__(self, n_features: int, *, n_trees: int = 64, depth: int = 4, n_labels: int = 10) -> None:
        super().__init__()
        if n_trees < 1 or depth < 1:
            raise ModelError(f"{n_trees} soft trees of depth {depth} decide nothing; give at least 1 of each")
        self.flatten = nn.Flatten()
        self.decisions = nn.Linear(n_features, n_trees * (2**depth - 1))
        self.routing = Routing(n_trees, depth)
        self.leaves = Leaves(n_trees, 2**depth, n_labels)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.leaves(self.routing(self.decisions(self.flatten(images))))
        return logits
