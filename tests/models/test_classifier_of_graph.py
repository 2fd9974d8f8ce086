"""Classifiers around a graph that gives its representations itself."""

import pytest
import torch
from torch import Tensor

from models.adapters.tapped import Tapped
from models.classifier import Classifier
from models.errors import ModelError


class Graph(Tapped):
    """The sum over channels, as `total/0`, beside the images flattened as logits."""

    def __init__(self) -> None:
        super().__init__(["total/0"])

    def forward(self, images: Tensor) -> Tensor:
        return self.tapped(images.flatten(1), [images.sum(1, keepdim=True)])


def graph(file_digest: str = "a", **changes: object) -> Classifier:
    arguments = {"mean": [0.0], "std": [1.0], "representations": ["total/0"], "labels": "ab", "input_shape": (1, 1, 2)}
    return Classifier(Graph(), file_digest=file_digest, **(arguments | changes))


def test_representations_of_a_graph_come_through_its_taps() -> None:
    outputs = graph()(torch.tensor([1.0, 2.0]).view(1, 1, 1, 2))
    assert outputs.logits.tolist() == [[1, 2]]
    assert outputs.representations["total/0"].tolist() == [[[[1, 2]]]]


def test_a_graph_cannot_be_resumed() -> None:
    pixels = torch.rand(1, 1, 1, 2)
    with pytest.raises(ModelError, match="'total/0' is an output of a graph that cannot be entered there"):
        graph().resume("total/0", pixels, pixels)


def test_taps_that_are_not_there_are_told() -> None:
    with pytest.raises(ModelError, match="no module 'sum'; those at its top are total/0"):
        graph(representations=["sum"])


def test_the_digest_of_a_file_covers_all_that_changes_the_outputs() -> None:
    changes = [{"mean": [0.5]}, {"std": [0.5]}, {"file_digest": "b"}, {"outputs": [1, 0]}, {"input_shape": (1, 2, 1)}]
    digests = {graph(**change).digest() for change in [{}, *changes]}
    assert len(digests) == 1 + len(changes)
    assert graph().digest() == graph().digest()


def test_a_graph_of_a_file_is_not_folded() -> None:
    classifier = graph()
    assert classifier.folded() is classifier
