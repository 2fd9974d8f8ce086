"""ONNX graphs as modules of torch, by onnx2torch and converters of our own."""

import functools
import re
import warnings
from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from models.errors import ModelError, one_line
from models.onnx_files.lowering import DOMAIN, lower
from models.onnx_files.packages import require_onnx
from models.onnx_files.torch_operations import (
    REDUCTIONS,
    Clip,
    Expand,
    LayerNormalization,
    Pad,
    Reduce,
    Reshape,
    Slice,
    Split,
    Squeeze,
    Take,
    Unsqueeze,
)
from models.torchvision_support import import_torchvision

_Attributes = Mapping[str, Any]

_MODULES: dict[str, Callable[[_Attributes], nn.Module]] = {
    "Reshape": lambda given: Reshape(given.get("shape", [])),
    "Expand": lambda given: Expand(given["per_image"], given.get("shape", [])),
    "Slice": lambda given: Slice(
        list(zip(given["axes"], given["starts"], given["stops"], given["steps"], strict=True))
    ),
    "Squeeze": lambda given: Squeeze(given["axes"]),
    "Unsqueeze": lambda given: Unsqueeze(given["axes"]),
    "Pad": lambda given: Pad(given["pads"], given["value"]),
    "Split": lambda given: Split(given["axis"], given.get("sizes", []), given["n_parts"]),
    "LayerNormalization": lambda given: LayerNormalization(given["axis"], given["epsilon"]),
    "Clip": lambda given: Clip(given.get("least"), given.get("most")),
    "Gather": lambda given: Take(given["axis"], given["places"], bool(given["is_single"])),
    "Gelu": lambda given: nn.GELU(approximate=given["approximate"]),
    "Mish": lambda _given: nn.Mish(),
}


def convert(model: Any, input_shape: tuple[int, int, int]) -> nn.Module:
    """A module that computes what a graph computes, differentiably, in eval mode and with frozen weights.

    Args:
        model: with several outputs, each made by a node.
        input_shape: (channel, height, width).

    Returns:
        Maps images to a list of the outputs.

    Raises:
        ModelError: some operation has no counterpart; the message says which.
    """
    from onnx import helper  # noqa: PLC0415

    lowered = lower(model, input_shape)
    # The converter gives what nodes give, so that each output must be the only one of a node.
    for value in lowered.graph.output:
        lowered.graph.node.append(helper.make_node("Identity", [value.name], [f"{value.name}/output"]))
        value.name = f"{value.name}/output"
    # They become part of Python source, unquoted: whoever wrote the file would write the program.
    for index, node in enumerate(lowered.graph.node):
        node.name = f"node_{index}"
    convert_graph = _converter()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            converted: nn.Module = convert_graph(lowered)
    except Exception as error:
        lacking = re.search(r"operation_type='(\w+)'", str(error))
        reason = f"onnx2torch has nothing for {lacking[1]}" if lacking else one_line(error)
        raise ModelError(f"the graph cannot be converted to torch: {reason}") from error
    return converted.eval().requires_grad_(False)


@functools.cache
def _converter() -> Callable[[Any], nn.Module]:
    require_onnx()
    # It imports torchvision.
    import_torchvision()
    from onnx2torch import convert as convert_graph  # noqa: PLC0415
    from onnx2torch.node_converters.registry import add_converter  # noqa: PLC0415

    for name, build in _MODULES.items():
        add_converter(operation_type=name, version=1, domain=DOMAIN)(_node_converter(build))
    for name in REDUCTIONS:
        reduction = _node_converter(functools.partial(_reduction, name))
        add_converter(operation_type=name, version=1, domain=DOMAIN)(reduction)
    return convert_graph  # type: ignore[no-any-return]


def _reduction(name: str, given: _Attributes) -> nn.Module:
    return Reduce(name, given.get("axes", []), bool(given["keepdims"]))


def _node_converter(build: Callable[[_Attributes], nn.Module]) -> Callable[[Any, Any], Any]:
    from onnx2torch.utils.common import OperationConverterResult, onnx_mapping_from_node  # noqa: PLC0415

    def convert_node(node: Any, _graph: Any) -> Any:
        return OperationConverterResult(build(node.attributes), onnx_mapping_from_node(node=node))

    return convert_node
