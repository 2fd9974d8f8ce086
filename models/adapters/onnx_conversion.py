"""Classifiers from ONNX files as modules of torch, which have gradients."""

from collections.abc import Sequence
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn

from models.adapters.adapted import Adapted, NetworkKind
from models.adapters.tapped import Tapped
from models.closeness import relative_difference
from models.errors import ModelError, one_line
from models.onnx_files.opening import ClassifierGraph, open_classifier_graph
from models.onnx_files.sessions import open_on_cpu, run_session
from models.onnx_files.torch_conversion import convert

TOLERANCE = 1e-3
"""How far the converted graph may be from ONNX Runtime, as a part of the largest value of each output."""

_N_PROBES = 2


class OnnxAsTorchNetwork(Tapped):
    """A converted graph.

    Args:
        converted: maps images to a list of logits and representations.
        representations: their names.
    """

    def __init__(self, converted: nn.Module, representations: tuple[str, ...]) -> None:
        super().__init__(representations)
        self.converted = converted

    def forward(self, images: Float[Tensor, "image channel height width"]) -> Float[Tensor, "image label"]:
        logits, *representations = self.converted(images)
        return self.tapped(logits, representations)


def open_onnx_as_torch(
    path: Path, *, logits: str | None, representations: Sequence[str] | None, input_shape: tuple[int, int, int]
) -> Adapted:
    """Convert an ONNX file to a differentiable module of torch, on the CPU.

    Args:
        path: of the file.
        logits: name of the tensor that holds them, unless it is the graph's only output.
        representations: names of tensors within the graph; found by running it if not given.
        input_shape: (channel, height, width).

    Raises:
        ModelError: the file is not a classifier that can be used, cannot be converted, or computes something else or
            without gradients once it is.
    """
    graph = open_classifier_graph(path, logits=logits, representations=representations, input_shape=input_shape)
    converted = convert(graph.model, input_shape)
    _check_agreement(converted, graph, input_shape)
    return Adapted(
        network=OnnxAsTorchNetwork(converted, graph.representations),
        kind=NetworkKind.ONNX_AS_TORCH,
        file_digest=graph.digest,
        representations=graph.representations,
        is_differentiable=True,
    )


def _check_agreement(converted: nn.Module, graph: ClassifierGraph, input_shape: tuple[int, int, int]) -> None:
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(_N_PROBES, *input_shape, generator=generator)
    expected = run_session(open_on_cpu(graph.model), [images], graph.output_shapes)
    pixels = images.clone().requires_grad_()
    try:
        given = list(converted(pixels))
        # A head that is not trained yet may be all zeros.
        total = torch.stack([output.square().mean() for output in given]).sum()
        (gradient,) = torch.autograd.grad(total, pixels)
    except Exception as error:
        raise ModelError(f"the graph as torch operations fails ({one_line(error)})") from error
    for name, ours, theirs in zip((graph.logits, *graph.representations), given, expected, strict=True):
        far = relative_difference(ours.detach(), theirs) if ours.shape == theirs.shape else float("inf")
        if not far <= TOLERANCE:
            raise ModelError(
                f"the graph as torch operations gives a {name!r} that is {far:.2g} from ONNX Runtime's; at most "
                f"{TOLERANCE} is believed"
            )
    if not given[0].requires_grad or not gradient.isfinite().all() or not gradient.any():
        raise ModelError("the graph as torch operations has no gradient at its input: something in it is no function")
