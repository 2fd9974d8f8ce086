import dataclasses
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import helper, numpy_helper
from torch import Tensor

from detector.types import Classifier as AnyClassifier
from detector.types import to_pixels
from models.classifier import Classifier
from models.digits import load_digits_images
from models.errors import ModelError
from models.onnx_files.gradient import LOGITS, part_of
from models.onnx_files.operator import OnnxNetwork
from models.onnx_files.vjp import (
    RuntimeClassifier,
    VectorJacobianProduct,
    open_gradient,
)

CPU = torch.device("cpu")
SHAPE = (1, 8, 8)


def clean_images(chosen: slice) -> Tensor:
    _, held_out = load_digits_images()
    return to_pixels(held_out.images[chosen])


def with_gradient(runtime: RuntimeClassifier, gradient: Any) -> OnnxNetwork:
    return dataclasses.replace(runtime.network, gradient=gradient)


def everything(outputs: Any) -> Tensor:
    """A number that hangs on logits and representations alike."""
    squares = sum(value.square().mean() for value in outputs.representations.values())
    total: Tensor = outputs.logits.logsumexp(1).sum() + squares
    return total


def test_it_is_the_same_classifier_to_the_detector(digits: Classifier, runtime: RuntimeClassifier) -> None:
    assert isinstance(runtime, AnyClassifier)
    assert runtime.digest() == digits.digest()
    assert (runtime.labels, runtime.input_shape, runtime.device) == (digits.labels, SHAPE, CPU)
    images = clean_images(slice(5))
    found, expected = runtime(images), digits(images)
    torch.testing.assert_close(found.logits, expected.logits, rtol=1e-4, atol=1e-4)
    assert list(found.representations) == list(expected.representations)
    for name, values in expected.representations.items():
        torch.testing.assert_close(found.representations[name], values, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("n_images", [0, 1, 3, 8])
def test_autograd_gives_what_it_gives_through_torch(
    digits: Classifier, runtime: RuntimeClassifier, n_images: int
) -> None:
    gradients = []
    for classifier in (digits, runtime):
        pixels = clean_images(slice(n_images)).requires_grad_(True)
        gradients.append(torch.autograd.grad(everything(classifier(pixels)), pixels)[0])
    expected, found = gradients
    assert found.shape == expected.shape
    assert (found - expected).norm() <= 1e-5 * expected.norm()
    assert (found.sign() == expected.sign()).float().sum() >= 0.9998 * found.numel()


def test_outputs_that_nothing_was_made_of_have_no_part_in_the_gradient(
    digits: Classifier, runtime: RuntimeClassifier
) -> None:
    pixels = clean_images(slice(2)).requires_grad_(True)
    (found,) = torch.autograd.grad(runtime(pixels).representations["stages.0"].sum(), pixels)
    (expected,) = torch.autograd.grad(digits(pixels).representations["stages.0"].sum(), pixels)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_a_second_derivative_is_refused(runtime: RuntimeClassifier) -> None:
    pixels = clean_images(slice(2)).requires_grad_(True)
    (gradient,) = torch.autograd.grad(runtime(pixels).logits.square().sum(), pixels, create_graph=True)
    with pytest.raises(ModelError, match="asks for a second derivative"):
        torch.autograd.grad(gradient.sum(), pixels)


def test_a_network_without_a_gradient_says_so_once_one_is_asked_for(
    digits: Classifier, runtime: RuntimeClassifier
) -> None:
    bare = RuntimeClassifier(digits, with_gradient(runtime, None), CPU)
    pixels = clean_images(slice(2)).requires_grad_(True)
    logits = bare(pixels).logits
    with pytest.raises(ModelError, match=r"this classifier has no gradient: .* under `gradient` in the spec"):
        logits.sum().backward()


def test_a_graph_without_a_gradient_is_no_gradient(runtime: RuntimeClassifier, model: Any) -> None:
    with pytest.raises(ModelError, match="has outputs 'logits' and 'gradient', and this one has logits;"):
        open_gradient(part_of(model, [LOGITS]), runtime.network, SHAPE, CPU)


def test_the_gradient_of_other_outputs_is_refused(runtime: RuntimeClassifier, model: Any) -> None:
    fewer = dataclasses.replace(runtime.network, output_shapes=runtime.network.output_shapes[:2])
    with pytest.raises(ModelError, match=r"takes 1×8×8, 10, 32×8×8, .* ask for 1×8×8, 10, 32×8×8:"):
        open_gradient(model, fewer, SHAPE, CPU)


def test_the_gradient_of_other_weights_is_refused(runtime: RuntimeClassifier, model: Any) -> None:
    other = type(model)()
    other.CopyFrom(model)
    weights = next(value for value in other.graph.initializer if list(value.dims) == [10])
    weights.raw_data = torch.ones(10).numpy().tobytes()
    with pytest.raises(ModelError, match="computes other logits than the classifier's"):
        open_gradient(other, runtime.network, SHAPE, CPU)


def test_the_gradient_of_a_linear_network_does_without_its_images() -> None:
    """Logits W·x, so that a cotangent c of theirs has the gradient Wᵀ·c wherever it is taken."""
    weights = np.arange(12, dtype=np.float32).reshape(4, 3)
    sizes = {"pixels": ["n", 1, 2, 2], "cotangent.logits": ["n", 3], "logits": ["n", 3], "gradient": ["n", 1, 2, 2]}
    named = {name: helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, size) for name, size in sizes.items()}
    nodes = [
        helper.make_node("Flatten", ["pixels"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weights"], ["logits"]),
        helper.make_node("MatMul", ["cotangent.logits", "transposed"], ["product"]),
        helper.make_node("Reshape", ["product", "shape"], ["gradient"]),
    ]
    constants = {"weights": weights, "transposed": weights.T.copy(), "shape": np.array([-1, 1, 2, 2])}
    initializers = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "linear", list(named.values())[:2], list(named.values())[2:], initializers)
    linear = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    product = VectorJacobianProduct.opened(linear, CPU)
    cotangents = torch.tensor([[1.0, 0, 0], [0, 0, 2]])
    assert product(torch.rand(2, 1, 2, 2), [cotangents]).flatten(1).tolist() == [[0, 3, 6, 9], [4, 10, 16, 22]]
