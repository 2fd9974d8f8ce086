import threading

import pytest
import torch
from torch import Tensor, nn
from toy_networks.wrapped import convolutional, fork

from models.errors import ModelError


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
