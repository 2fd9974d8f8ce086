import logging
from typing import Any

import pytest
import torch
from torch import Tensor

from detector.cuda_graphs import N_GRAPHS, Function, GraphedClassifier
from detector.pooled_outputs import PooledOutputs


class Recorder:
    """Stands in for CUDA: replays into static buffers of its own, as a graph does."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.n_replays = 0

    def __call__(self, function: Function, example: Tensor) -> Function:
        self.sizes.append(len(example))
        given = torch.empty_like(example)

        def replayed(points: Tensor) -> tuple[Tensor, ...]:
            self.n_replays += 1
            given.copy_(points)
            return tuple(tensor.clone() for tensor in function(given))

        return replayed


def _points(n_points: int, seed: int = 0) -> Tensor:
    return torch.rand(n_points, 1, 2, 2, generator=torch.Generator().manual_seed(seed))


def test_a_number_of_points_has_its_graph_from_the_second_time_on(linear: Any) -> None:
    capture = Recorder()
    graphed = GraphedClassifier(linear, capture)
    for seed in range(4):
        found, expected = graphed(_points(3, seed)), linear(_points(3, seed))
        assert torch.equal(found.logits, expected.logits)
        assert torch.equal(found.representations["pixels"], expected.representations["pixels"])
    graphed(_points(2))
    assert (capture.sizes, capture.n_replays) == ([3], 3)


def test_no_more_numbers_of_points_have_graphs_than_memory_is_meant_for(linear: Any) -> None:
    capture = Recorder()
    graphed = GraphedClassifier(linear, capture)
    for size in range(1, N_GRAPHS + 3):
        graphed(_points(size))
        graphed(_points(size))
    assert capture.sizes == list(range(1, N_GRAPHS + 1))


def test_where_gradients_are_wanted_nothing_is_replayed(linear: Any) -> None:
    capture = Recorder()
    graphed, points = GraphedClassifier(linear, capture), _points(2).requires_grad_(True)
    for _ in range(3):
        graphed(points).logits.sum().backward()
    assert points.grad is not None
    assert capture.sizes == []


def test_a_capture_that_fails_is_told_of_once_and_leaves_the_classifier_running(
    linear: Any, caplog: pytest.LogCaptureFixture
) -> None:
    n_tries = []

    def failing(_function: Function, example: Tensor) -> Function:
        n_tries.append(len(example))
        raise RuntimeError("operation not permitted when stream is capturing")

    graphed = GraphedClassifier(linear, failing)
    with caplog.at_level(logging.WARNING):
        found = [graphed(_points(3)).logits for _ in range(4)]
    assert all(torch.equal(logits, linear(_points(3)).logits) for logits in found)
    assert n_tries == [3]
    assert "not permitted" in caplog.text


def test_it_passes_for_the_classifier_that_it_replays(linear: Any) -> None:
    graphed = GraphedClassifier(linear, Recorder())
    assert graphed.digest() == linear.digest()
    assert (graphed.labels, graphed.input_shape, graphed.device) == (linear.labels, linear.input_shape, linear.device)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device to capture graphs on")
def test_graphs_on_a_gpu_give_what_the_network_gives() -> None:
    from models.classifier import Classifier  # noqa: PLC0415
    from models.resnet import resnet20  # noqa: PLC0415

    whole = Classifier(
        resnet20(),
        representations=["stages.0", "flatten"],
        mean=(0.5, 0.5, 0.5),
        std=(0.25, 0.25, 0.25),
        labels=tuple("abcdefghij"),
        input_shape=(3, 32, 32),
    )
    classifier = whole.to("cuda").folded()
    graphed = GraphedClassifier(classifier)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for size in (16, 16, 16, 5, 16):
            points = torch.rand(size, 3, 32, 32, generator=generator).cuda()
            found, expected = graphed(points), PooledOutputs.of(classifier(points))
            torch.testing.assert_close(found.logits, expected.logits, rtol=1e-3, atol=1e-3)
            torch.testing.assert_close(
                found.representations["stages.0"], expected.representations["stages.0"], rtol=1e-3, atol=1e-3
            )
