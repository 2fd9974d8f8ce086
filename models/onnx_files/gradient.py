"""The input gradient of a classifier as an ONNX graph.

`export_gradient` writes the vector-Jacobian product of everything that a classifier gives: whatever is made of logits
and representations, and be it made by another program, can then be differentiated in the pixels by ONNX Runtime.
"""

import copy
import re
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx import GraphModule
from torch.fx.experimental.proxy_tensor import make_fx
from torch.fx.experimental.symbolic_shapes import DimDynamic, ShapeEnv, StatelessSymbolicContext
from torch.nn.attention import SDPBackend, sdpa_kernel

from models.classifier import Classifier
from models.errors import ModelError, one_line
from models.onnx_files.decompositions import SimplerForwards, backward_decompositions
from models.onnx_files.operator import OnnxNetwork
from models.onnx_files.packages import require_onnx

PIXELS, LOGITS, GRADIENT = "pixels", "logits", "gradient"
OPSET = 20
MOST_IMAGES = 4096
# Two and three are special to nothing; zero and one are to torch.
_N_EXAMPLES = 3


def cotangent_of(output: str) -> str:
    """Name of the input that holds the cotangent of an output."""
    return f"cotangent.{output}"


def export_gradient(classifier: Classifier) -> Any:
    """Write logits, representations and the gradient of any weighting of theirs as one graph.

    Its inputs are `pixels`, of shape (image, channel, height, width) in [0, 1], and for each output of the classifier
    a cotangent of that output's shape: `cotangent.logits`, `cotangent.<representation>`. Its outputs are `logits`,
    the representations by name, and `gradient`, of the shape of the pixels: the cotangents times the Jacobian. All is
    float32, and the number of images is free.

    Args:
        classifier: made of torch's operations; it is left as it is.

    Returns:
        An onnx.ModelProto of opset 20.

    Raises:
        ModelError: the packages are missing, the network cannot be traced, takes a fixed number of images alone, or
            has an operation whose derivative ONNX cannot say; the message names it.
    """
    require_onnx()
    if runs_in_onnx_runtime(classifier):
        raise ModelError(
            "ONNX Runtime runs this classifier's graph, and torch cannot see into it; export the gradient where the "
            "network is made of torch's operations"
        )
    # Classifiers whose graph lies in a file are not copied by folding, and what follows changes in place.
    plain = copy.deepcopy(classifier.folded()).cpu()
    # Graphs know no memory formats, and strides that they cannot say come of them.
    plain.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    pixels = torch.rand(_N_EXAMPLES, *plain.input_shape, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        example = (pixels, *(torch.ones_like(value) for value in _outputs(plain, pixels)))
    with warnings.catch_warnings():
        # Of torch, to its own developers.
        warnings.simplefilter("ignore")
        return _translated(_traced(plain, example), example, plain.representations)


def part_of(model: Any, outputs: Sequence[str]) -> Any:
    """The part of a graph that these outputs take, with the inputs and weights that it takes; weights are shared.

    Args:
        model: an onnx.ModelProto.
        outputs: names of some of its outputs.
    """
    needed, nodes = set(outputs), []
    for node in reversed(model.graph.node):
        if needed.intersection(node.output):
            nodes.append(node)
            needed.update(node.input)
    part = type(model)()
    part.CopyFrom(model)
    for field, kept in (
        (part.graph.node, nodes[::-1]),
        (part.graph.initializer, [value for value in model.graph.initializer if value.name in needed]),
        (part.graph.input, [value for value in model.graph.input if value.name in needed]),
        (part.graph.output, [value for value in model.graph.output if value.name in set(outputs)]),
    ):
        del field[:]
        field.extend(kept)
    return part


def runs_in_onnx_runtime(classifier: Classifier) -> bool:
    """Whether the classifier's network is a graph that ONNX Runtime runs."""
    return isinstance(getattr(classifier.network, "onnx_network", None), OnnxNetwork)


def _outputs(classifier: Classifier, pixels: Tensor) -> tuple[Tensor, ...]:
    outputs = classifier(pixels)
    return (outputs.logits, *outputs.representations.values())


def _traced(classifier: Classifier, example: Sequence[Tensor]) -> GraphModule:
    """The joint graph of forward and backward pass, with the number of images as its one symbol."""

    def product(pixels: Tensor, *cotangents: Tensor) -> tuple[Tensor, ...]:
        found: Any = torch.func.vjp(lambda given: _outputs(classifier, given), pixels)
        outputs, backward = found
        return (*outputs, *backward(cotangents))

    mode = FakeTensorMode(shape_env=ShapeEnv(), allow_non_fake_inputs=True)
    trace = make_fx(product, backward_decompositions(), tracing_mode="symbolic", _allow_non_fake_inputs=True)
    given = [_symbolic(mode, tensor) for tensor in example]
    try:
        with mode, SimplerForwards(), sdpa_kernel(SDPBackend.MATH):
            graph: GraphModule = trace(*given)
    except ModelError:
        raise
    except Exception as error:
        raise ModelError(f"the network's gradient cannot be traced: {_told(error)}") from error
    if given[0].shape[0].node.maybe_as_int() is not None:
        raise ModelError(
            "the network's code fixes how many images a pass has, so that its gradient is no graph for any number; "
            "take shapes from tensors, not from len() or int() of them"
        )
    return graph


def _symbolic(mode: FakeTensorMode, tensor: Tensor) -> Any:
    sizes = [DimDynamic.DYNAMIC, *[DimDynamic.STATIC] * (tensor.ndim - 1)]
    return mode.from_tensor(tensor, symbolic_context=StatelessSymbolicContext(dynamic_sizes=sizes))


def _translated(graph: GraphModule, example: tuple[Tensor, ...], representations: Sequence[str]) -> Any:
    outputs = [LOGITS, *representations]
    images = torch.export.Dim("batch", min=1, max=MOST_IMAGES)
    program = _or_model_error(
        lambda: torch.export.export(graph, example, dynamic_shapes=tuple({0: images} for _ in example), strict=False)
    )
    exported = _or_model_error(
        lambda: torch.onnx.export(
            program,
            dynamo=True,
            opset_version=OPSET,
            optimize=True,
            verbose=False,
            input_names=[PIXELS, *map(cotangent_of, outputs)],
            output_names=[*outputs, GRADIENT],
        )
    )
    return exported.model_proto


def _or_model_error(act: Callable[[], Any]) -> Any:
    try:
        return act()
    except Exception as error:
        raise ModelError(f"the network's gradient cannot be written as ONNX: {_told(error)}") from error


def _told(error: BaseException) -> str:
    """The operation that has no counterpart, where the error or one of its causes names it; else what it says."""
    found, cause = re.search(r"op='([\w.]+)'", str(error)), error.__cause__
    if found is not None:
        return f"ONNX has nothing for the operation {found[1]}"
    if cause is not None and (told := re.search(r"op='([\w.]+)'", str(cause))):
        return f"ONNX has nothing for the operation {told[1]}"
    return one_line(error) if isinstance(error, Exception) else type(error).__name__
