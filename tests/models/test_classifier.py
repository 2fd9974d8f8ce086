import threading

import pytest
import torch
from torch import Tensor, nn

from models.adapters.tapped import Tapped
from models.classifier import Classifier
from models.errors import ModelError


class Pair(nn.Module):
    """Gives two tensors, as attention does."""

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        return images, images


class Fork(nn.Module):
    """Adds up the channels; `unused` takes no part, `pair` gives no tensor."""

    def __init__(self) -> None:
        super().__init__()
        self.unused = nn.Identity()
        self.pair = Pair()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()

    def forward(self, images: Tensor) -> Tensor:
        return self.flatten(self.pool(self.pair(images)[0]))


def fork(**changes: object) -> Classifier:
    arguments = {
        "mean": [0.5, 0.25],
        "std": [0.5, 0.25],
        "representations": ["flatten"],
        "labels": ["a", "b"],
        "input_shape": (2, 1, 3),
    }
    return Classifier(Fork(), **(arguments | changes))


def convolutional(seed: int = 0) -> Classifier:
    torch.manual_seed(seed)
    network = nn.Sequential(
        nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 2)
    )
    network[1].running_mean.normal_()
    network[1].running_var.uniform_(0.5, 2)
    return Classifier(
        network, mean=[0.1], std=[0.3], representations=["1", "2", "4"], labels=["a", "b"], input_shape=(1, 6, 6)
    )


def test_pixels_are_normalised_inside() -> None:
    logits = fork()(torch.tensor([1.0, 0.5]).view(1, 2, 1, 1).expand(1, 2, 1, 3)).logits
    assert logits.tolist() == [[1.0, 1.0]]


def test_kept_outputs_come_in_the_order_of_their_labels() -> None:
    pixels = torch.tensor([1.0, 0.25]).view(1, 2, 1, 1).expand(1, 2, 1, 3)
    assert fork(outputs=[1, 0])(pixels).logits.tolist() == [[0.0, 1.0]]


def test_weights_are_frozen_and_pixels_get_gradients() -> None:
    classifier = fork()
    pixels = torch.rand(1, 2, 1, 3, requires_grad=True)
    classifier(pixels).logits.sum().backward()
    assert pixels.grad is not None
    assert not classifier.training
    assert not any(parameter.requires_grad for parameter in classifier.parameters())


def test_a_map_of_one_pixel_comes_flattened() -> None:
    assert fork(representations=["pool"])(torch.rand(4, 2, 1, 3)).representations["pool"].shape == (4, 2)


def test_representations_come_in_the_order_asked_for() -> None:
    representations = fork(representations=["flatten", "pool"])(torch.rand(1, 2, 1, 3)).representations
    assert list(representations) == ["flatten", "pool"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mean": [0.5]}, "mean has 1 and std 2 values, but the input has 2 channels"),
        ({"representations": []}, "no representation is named"),
        ({"representations": ["layer9"]}, "no module 'layer9'; those at its top are unused, pair, pool, flatten"),
        ({"outputs": [0]}, "1 outputs are kept, but 2 labels"),
    ],
)
def test_what_does_not_fit_the_network_is_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        fork(**changes)


def test_a_representation_that_is_never_computed_is_named() -> None:
    with pytest.raises(ModelError, match="'unused' takes no part in the forward pass"):
        fork(representations=["unused"])(torch.rand(1, 2, 1, 3))


def test_a_representation_that_is_no_tensor_is_named() -> None:
    with pytest.raises(ModelError, match="'pair' gives a tuple, not a tensor"):
        fork(representations=["pair"])(torch.rand(1, 2, 1, 3))


def test_two_threads_do_not_see_each_others_representations() -> None:
    classifier = convolutional()
    images = [torch.full((n, 1, 6, 6), n / 20) for n in range(1, 9)]
    expected = [classifier(batch).representations["4"] for batch in images]
    found: dict[int, list[Tensor]] = {}

    def work(index: int) -> None:
        found[index] = [classifier(images[index]).representations["4"] for _ in range(50)]

    threads = [threading.Thread(target=work, args=(index,)) for index in range(len(images))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(torch.equal(value, expected[index]) for index, values in found.items() for value in values)
    assert len(found) == len(images)


def test_the_digest_changes_with_every_thing_that_decides_the_outputs() -> None:
    variants = [
        fork(),
        fork(mean=[0.5, 0.5]),
        fork(built_with='{"depth": 2}'),
        fork(std=[0.5, 0.5]),
        fork(outputs=[0, 1]),
        fork(representations=["pool"]),
        fork(input_shape=(2, 3, 1)),
        convolutional(),
        convolutional(seed=1),
    ]
    assert len({variant.digest() for variant in variants}) == len(variants)


def test_the_digest_of_equal_classifiers_is_equal() -> None:
    assert convolutional().digest() == convolutional().digest()


def test_a_folded_classifier_computes_the_same_and_keeps_its_digest() -> None:
    classifier = convolutional()
    folded = classifier.folded()
    pixels = torch.rand(5, 1, 6, 6)
    mine, theirs = classifier(pixels), folded(pixels)
    torch.testing.assert_close(theirs.logits, mine.logits, atol=1e-5, rtol=0)
    for name, representation in mine.representations.items():
        torch.testing.assert_close(theirs.representations[name], representation, atol=1e-5, rtol=0)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in folded.modules())
    assert folded.digest() == classifier.digest() == folded.folded().digest()
    assert (folded.labels, folded.input_shape) == (classifier.labels, classifier.input_shape)
    assert not any(parameter.requires_grad for parameter in folded.parameters())


def test_folding_keeps_the_chosen_outputs() -> None:
    classifier = fork(outputs=[1, 0])
    pixels = torch.rand(2, 2, 1, 3)
    assert torch.equal(classifier.folded()(pixels).logits, classifier(pixels).logits)


def test_folding_does_not_capture_twice() -> None:
    folded = convolutional().folded().folded()
    assert [len(module._forward_hooks) for module in folded.network] == [0, 1, 1, 0, 1, 0]


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
