"""Gradients of classifiers that ONNX Runtime runs: autograd through a graph of the vector-Jacobian product.

Importing this file teaches autograd the operator `isthmus::onnx_network`. Where a gradient graph is open for its
network, a backward pass runs that graph, which repeats the forward pass within; where none is, it is refused.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from models.classifier import Classifier, Outputs
from models.errors import ModelError
from models.onnx_files.gradient import GRADIENT, LOGITS, export_gradient, part_of, runs_in_onnx_runtime
from models.onnx_files.gradient_checks import (
    GradientAgreement,
    check_against_differences,
    check_against_torch,
    check_gradient_graph,
    inputs_of,
)
from models.onnx_files.operator import DOMAIN, OPERATOR, OnnxNetwork, network_of, onnx_network, register_network
from models.onnx_files.sessions import open_session, run_session


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class VectorJacobianProduct:
    """A gradient graph, ready to run.

    Attributes:
        session: the onnxruntime.InferenceSession; its one output is of the shape of the images.
        takes: which of the images and the cotangents of the network's outputs, numbered in this order, its inputs are;
            the gradient of a linear network does without the images.
    """

    session: Any
    takes: tuple[int, ...]

    @classmethod
    def opened(cls, model: Any, device: torch.device) -> "VectorJacobianProduct":
        """The part of a gradient graph that computes the gradient, on a device.

        Raises:
            ModelError: ONNX Runtime refuses the graph, or does not serve the device.
        """
        session = open_session(part_of(model, [GRADIENT]).SerializeToString(), device)
        taken = {value.name for value in session.get_inputs()}
        inputs = enumerate(value.name for value in inputs_of(model))
        return cls(session=session, takes=tuple(number for number, name in inputs if name in taken))

    def __call__(
        self, images: Float[Tensor, "image channel height width"], cotangents: Sequence[Tensor]
    ) -> Float[Tensor, "image channel height width"]:
        """The cotangents times the Jacobian of the network's outputs with respect to the images."""
        inputs = [images, *cotangents]
        (gradient,) = run_session(self.session, [inputs[number] for number in self.takes], [tuple(images.shape[1:])])
        return gradient


def open_gradient(
    model: Any, network: OnnxNetwork, input_shape: tuple[int, int, int], device: torch.device
) -> VectorJacobianProduct:
    """Open a graph as `export_gradient` writes it, for a network that takes what the graph takes.

    Args:
        model: an onnx.ModelProto.
        network: what it is to be the gradient of.
        input_shape: (channel, height, width).
        device: where the network runs.

    Raises:
        ModelError: its inputs or outputs are others, it computes other logits than the network or no gradient of its
            outputs, draws random numbers or trains, or ONNX Runtime refuses it.
    """
    check_gradient_graph(model, network, input_shape, device)
    product = VectorJacobianProduct.opened(model, device)
    check_against_differences(product, network, input_shape, device)
    return product


class RuntimeClassifier:
    """A classifier whose passes, forward and backward, ONNX Runtime makes; immutable, for any number of threads.

    Args:
        classifier: what it stands for; names, shape and digest are its.
        network: graphs of the pixels in [0, 1], and of that classifier's outputs in their order.
        device: where the sessions run.
    """

    def __init__(self, classifier: Classifier, network: OnnxNetwork, device: torch.device) -> None:
        self.labels = classifier.labels
        self.input_shape = classifier.input_shape
        self.representations = classifier.representations
        # With the number of the device, as tensors on it say.
        self.device = torch.empty(0, device=device).device
        self._digest = classifier.digest()
        # The operator finds it as long as it is held here.
        self.network = network
        self._handle = register_network(network)

    def __call__(self, pixels: Float[Tensor, "image channel height width"]) -> Outputs:
        """Classify pixels in [0, 1]; differentiable in them, once, where the network has a gradient."""
        logits, *representations = onnx_network(pixels, self._handle)
        return Outputs(logits, dict(zip(self.representations, representations, strict=True)))

    def digest(self) -> str:
        """That of the classifier it stands for, which gives the same but for rounding."""
        return self._digest


def runtime_classifier(classifier: Classifier, model: Any, device: torch.device) -> RuntimeClassifier:
    """Open both halves of a gradient graph.

    Args:
        classifier: what the graph was exported from.
        model: the onnx.ModelProto that `export_gradient` gave.
        device: "cpu" or "cuda".

    Raises:
        ModelError: ONNX Runtime does not serve the device.
    """
    outputs = [LOGITS, *classifier.representations]
    forward = part_of(model, outputs)
    sizes = {value.name: value.type.tensor_type.shape.dim for value in forward.graph.output}
    network = OnnxNetwork(
        model=forward,
        session=open_session(forward.SerializeToString(), device),
        output_shapes=tuple(tuple(size.dim_value for size in sizes[name])[1:] for name in outputs),
        gradient=VectorJacobianProduct.opened(model, device),
    )
    return RuntimeClassifier(classifier, network, device)


def compare_with_torch(model: Any, classifier: Classifier) -> GradientAgreement:
    """Run an exported gradient where the classifier is, and compare it with what torch finds.

    Args:
        model: the onnx.ModelProto that `export_gradient` gave.
        classifier: what it was given for it.

    Raises:
        ModelError: they disagree, or ONNX Runtime does not serve the device.
    """
    return check_against_torch(VectorJacobianProduct.opened(model, classifier.device), classifier)


def search_on_onnx_runtime(
    classifier: Classifier, device: torch.device | None = None
) -> RuntimeClassifier | Classifier:
    """The same classifier with ONNX Runtime behind it, gradients included, which have been compared with torch's.

    Args:
        classifier: made of torch's operations; one that ONNX Runtime runs already is given back as it is.
        device: "cpu" or "cuda"; the classifier's own if not given.

    Raises:
        ModelError: its gradient cannot be exported or is not torch's, or ONNX Runtime does not serve the device.
    """
    if runs_in_onnx_runtime(classifier):
        return classifier
    device = classifier.device if device is None else device
    runtime = runtime_classifier(classifier, export_gradient(classifier), device)

    def product(images: Tensor, cotangents: Sequence[Tensor]) -> Tensor:
        there = [tensor.to(device) for tensor in cotangents]
        gradient: Tensor = runtime.network.gradient(images.to(device), there)
        return gradient.to(images.device)

    check_against_torch(product, classifier)
    return runtime


class _Product(torch.autograd.Function):
    """The vector-Jacobian product; it can itself not be differentiated."""

    @staticmethod
    def forward(_context: Any, product: VectorJacobianProduct, images: Tensor, *cotangents: Tensor) -> Tensor:
        return product(images, cotangents)

    @staticmethod
    def backward(_context: Any, *_gradients: Tensor) -> Any:
        raise ModelError(
            "a classifier that ONNX Runtime runs can be differentiated once, and this asks for a second derivative; "
            "take one that torch runs"
        )


def _remember(ctx: Any, inputs: tuple[Tensor, int], output: list[Tensor]) -> None:
    images, handle = inputs
    ctx.save_for_backward(images)
    # Held, so that the classifier may go before its gradient is asked for.
    ctx.network = network_of(handle)
    ctx.shapes = [tensor.shape for tensor in output]


def _backward(context: Any, cotangents: Sequence[Tensor | None]) -> tuple[Tensor, None]:
    (images,) = context.saved_tensors
    product = context.network.gradient
    if product is None:
        raise ModelError(
            "this classifier has no gradient: ONNX Runtime runs its graph forwards alone; name a graph of its gradient "
            'under `gradient` in the spec, or take a runtime that has one (`runtime = "torch"`)'
        )
    given = [
        images.new_zeros(shape) if cotangent is None else cotangent
        for cotangent, shape in zip(cotangents, context.shapes, strict=True)
    ]
    return _Product.apply(product, images, *given), None  # type: ignore[no-untyped-call]


torch.library.register_autograd(f"{DOMAIN}::{OPERATOR}", _backward, setup_context=_remember)
