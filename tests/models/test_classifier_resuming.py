"""Forward passes that go on from activations put in place of a module's own."""

import threading

import pytest
import torch
from torch import Tensor, nn
from toy_networks.wrapped import convolutional, fork

from models.classifier import Classifier
from models.errors import ModelError


def test_resuming_from_its_own_activations_gives_the_same_logits() -> None:
    for classifier in (convolutional(), convolutional().folded()):
        outputs = classifier(torch.rand(3, 1, 6, 6))
        for name, representation in outputs.representations.items():
            # Of the pixels only the shape counts, for each of these modules is a cut.
            resumed = classifier.resume(name, representation, torch.zeros(3, 1, 6, 6))
            torch.testing.assert_close(resumed, outputs.logits, atol=1e-6, rtol=0)


def test_what_follows_the_replaced_module_sees_the_activations_given() -> None:
    classifier = convolutional()
    features = torch.tensor([[1.0, -2.0, 0.5], [0.0, 0.0, 0.0]])
    resumed = classifier.resume("4", features, torch.rand(2, 1, 6, 6))
    assert torch.equal(resumed, classifier.network[5](features))


def test_a_map_of_one_pixel_goes_back_in_as_it_came_out() -> None:
    classifier = fork(representations=["pool"], outputs=[1, 0])
    resumed = classifier.resume("pool", torch.tensor([[3.0, 4.0]]), torch.rand(1, 2, 1, 3))
    assert resumed.tolist() == [[4.0, 3.0]]


def test_resuming_leaves_the_activations_the_passes_after_it_and_the_digest_alone() -> None:
    network = nn.Sequential(nn.Identity(), nn.ReLU(inplace=True), nn.Flatten())
    classifier = Classifier(
        network, mean=[0.0], std=[1.0], representations=["0"], labels=["a", "b"], input_shape=(1, 1, 2)
    )
    pixels, digest = torch.tensor([[[[0.5, 1.0]]]]), classifier.digest()
    activations = torch.tensor([[[[-1.0, 2.0]]]])
    assert classifier.resume("0", activations, pixels).tolist() == [[0.0, 2.0]]
    assert activations.flatten().tolist() == [-1.0, 2.0]
    assert classifier(pixels).logits.tolist() == [[0.5, 1.0]]
    assert classifier.digest() == digest


def test_gradients_flow_to_the_activations_that_were_put_in() -> None:
    classifier = convolutional()
    features = torch.zeros(1, 3, requires_grad=True)
    classifier.resume("4", features, torch.rand(1, 1, 6, 6))[0, 1].backward()
    assert features.grad is not None
    assert torch.equal(features.grad[0], classifier.network[5].weight[1])


def test_past_a_module_that_is_no_cut_the_pixels_still_go_by() -> None:
    class Residual(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.branch = nn.Identity()

        def forward(self, images: Tensor) -> Tensor:
            return (images + self.branch(images)).flatten(1)

    classifier = Classifier(
        Residual(), mean=[0.0], std=[1.0], representations=["branch"], labels=["a"], input_shape=(1, 1, 1)
    )
    resumed = classifier.resume("branch", torch.full((1, 1), 5.0), torch.full((1, 1, 1, 1), 0.25))
    assert resumed.tolist() == [[5.25]]


@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [
        ("pool", (2, 2), "no representation is called 'pool'.*; those named are flatten"),
        ("flatten", (2, 3), r"'flatten' gives activations of shape \(2, 2\), but .* have shape \(2, 3\)"),
        ("flatten", (4, 1), r"shape \(4, 1\)"),
    ],
)
def test_activations_that_do_not_fit_are_refused(name: str, shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        fork().resume(name, torch.zeros(shape), torch.rand(2, 2, 1, 3))


def test_a_module_that_runs_twice_or_never_cannot_be_resumed() -> None:
    relu = nn.ReLU()
    twice = Classifier(
        nn.Sequential(relu, nn.Flatten(), relu),
        mean=[0.0],
        std=[1.0],
        representations=["0"],
        labels=["a"],
        input_shape=(1, 1, 1),
    )
    with pytest.raises(ModelError, match="'0' runs more than once"):
        twice.resume("0", torch.zeros(1, 1, 1, 1), torch.zeros(1, 1, 1, 1))
    with pytest.raises(ModelError, match="'unused' takes no part in the forward pass"):
        fork(representations=["unused"]).resume("unused", torch.zeros(1, 2), torch.rand(1, 2, 1, 3))


def test_two_threads_do_not_see_each_others_replacements() -> None:
    classifier = convolutional()
    features = [torch.full((n, 3), n / 4) for n in range(1, 9)]
    expected = [classifier.network[5](batch) for batch in features]
    found: dict[int, list[Tensor]] = {}

    def work(index: int) -> None:
        pixels = torch.zeros(index + 1, 1, 6, 6)
        found[index] = [classifier.resume("4", features[index], pixels) for _ in range(50)]

    threads = [threading.Thread(target=work, args=(index,)) for index in range(len(features))]
    for thread in threads:
        thread.start()
    ordinary = [classifier(torch.zeros(1, 1, 6, 6)).logits for _ in range(50)]
    for thread in threads:
        thread.join()
    assert all(torch.equal(value, expected[index]) for index, values in found.items() for value in values)
    assert all(torch.equal(logits, ordinary[0]) for logits in ordinary)
    assert len(found) == len(features)
