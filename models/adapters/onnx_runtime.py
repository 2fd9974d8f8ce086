"""Classifiers that ONNX Runtime computes, from an ONNX file."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from models.adapters.adapted import Adapted, NetworkKind
from models.adapters.tapped import Tapped
from models.onnx_files.opening import open_classifier_graph
from models.onnx_files.operator import OnnxNetwork, onnx_network, register_network
from models.onnx_files.reading import read_onnx
from models.onnx_files.sessions import open_session
from models.onnx_files.vjp import open_gradient

NO_GRADIENT = (
    "Paths cannot be searched, nor gradient attacks run: ONNX Runtime gives no gradients unless a graph of them is "
    "named under gradient."
)


class OnnxRuntimeNetwork(Tapped):
    """A graph that is run by ONNX Runtime, as a network of torch.

    Immutable and safe to call from several threads; a copy of it is itself.

    Args:
        network: what is run.
        representations: names of its outputs after the logits.
    """

    def __init__(self, network: OnnxNetwork, representations: Sequence[str]) -> None:
        super().__init__(representations)
        # The operator finds it as long as it is held here.
        self.onnx_network = network
        self.handle = register_network(network)

    def forward(self, images: Float[Tensor, "image channel height width"]) -> Float[Tensor, "image label"]:
        logits, *representations = onnx_network(images, self.handle)
        return self.tapped(logits, representations)

    def __deepcopy__(self, memo: dict[int, object]) -> "OnnxRuntimeNetwork":
        return self


def open_with_onnx_runtime(
    path: Path,
    *,
    logits: str | None,
    representations: Sequence[str] | None,
    input_shape: tuple[int, int, int],
    device: torch.device,
    gradient: Path | None = None,
) -> Adapted:
    """Open an ONNX file with ONNX Runtime.

    Args:
        path: of the file.
        logits: name of the tensor that holds them, unless it is the graph's only output.
        representations: names of tensors within the graph; found by running it if not given.
        input_shape: (channel, height, width).
        device: where it runs, and images come from.
        gradient: file of the graph that gives gradients, with cotangents of the logits and of each representation.

    Raises:
        ModelError: a file is not what it is to be, or the runtime does not serve the device.
    """
    graph = open_classifier_graph(path, logits=logits, representations=representations, input_shape=input_shape)
    session = open_session(graph.model.SerializeToString(), device)
    network = OnnxNetwork(model=graph.model, session=session, output_shapes=graph.output_shapes)
    if gradient is not None:
        product = open_gradient(read_onnx(gradient).model, network, input_shape, device)
        network = dataclasses.replace(network, gradient=product)
    return Adapted(
        network=OnnxRuntimeNetwork(network, graph.representations),
        kind=NetworkKind.ONNX_RUNTIME,
        file_digest=graph.digest,
        representations=graph.representations,
        is_differentiable=gradient is not None,
        limits=() if gradient is not None else (NO_GRADIENT,),
    )
