"""Graphs of newer opsets and exporters, rewritten to what onnx2torch knows and torch.export can trace.

onnx2torch stops at opset 17, refuses `allowzero`, which newer exporters always write, and hands shapes and axes about
as tensors, at which torch.export stops. Operations that take those are rewritten into a domain of our own, where they
are attributes, and for which converters are registered; of most others newer opsets changed the types alone.
"""

from typing import Any

from models.onnx_files.graphs import image_input
from models.onnx_files.outputs import needed_nodes, set_nodes
from models.onnx_files.rewriting import REWRITERS, Operation, rewrite
from models.onnx_files.shape_folding import fold_shapes, values_for_batches, without_aliases
from models.onnx_files.walks import opset

DOMAIN = "isthmus_torch"
NEWEST_KNOWN = 17
"""Opset of the newest operators that onnx2torch knows."""

_ONNX = ("", "ai.onnx")


def lower(model: Any, input_shape: tuple[int, int, int]) -> Any:
    """A copy of a graph that computes the same.

    Args:
        model: an onnx.ModelProto.
        input_shape: (channel, height, width).

    Raises:
        ModelError: the graph does not run.
    """
    from onnx import numpy_helper  # noqa: PLC0415

    lowered = fold_shapes(without_aliases(model), input_shape)
    weights = {tensor.name: numpy_helper.to_array(tensor) for tensor in lowered.graph.initializer}
    seen = _outputs_to_rewrite(lowered, input_shape)
    images = image_input(lowered).name
    nodes = [_in_our_domain(node, weights, seen, images) for node in lowered.graph.node]
    set_nodes(lowered.graph, nodes)
    _make_shapes_known(lowered, seen)
    _set_opset(lowered)
    set_nodes(lowered.graph, needed_nodes(lowered.graph, [value.name for value in lowered.graph.output]))
    return lowered


def _outputs_to_rewrite(model: Any, input_shape: tuple[int, int, int]) -> dict[str, tuple[Any, Any]]:
    """By name, the first outputs of nodes that may be rewritten, for one image and for three."""
    names = [node.output[0] for node in model.graph.node if node.op_type in REWRITERS]
    if not names:
        return {}
    one, several = values_for_batches(model, names, input_shape)
    return dict(zip(names, zip(one, several, strict=True), strict=True))


def _in_our_domain(node: Any, weights: dict[str, Any], seen: dict[str, tuple[Any, Any]], images: str) -> Any:
    """The node itself, if it needs no rewriting or if what it takes is known only while it runs."""
    from onnx import helper  # noqa: PLC0415

    if node.domain not in _ONNX or node.op_type not in REWRITERS:
        return node
    given = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
    one, several = (value.shape for value in seen[node.output[0]])
    operation = Operation(node=node, given=given, weights=weights, one=one, several=several)
    attributes = rewrite(operation)
    if attributes is None:
        return node
    kept = list(node.input) if node.op_type == "LayerNormalization" else [node.input[0]]
    if node.op_type == "Expand":
        kept.append(images)
    outputs = [name for name in node.output if name]
    return helper.make_node(node.op_type, kept, outputs, node.name, domain=DOMAIN, **attributes)


def _make_shapes_known(model: Any, seen: dict[str, tuple[Any, Any]]) -> None:
    """Fill in what no inference of shapes knows of our domain, for converters that look at how many axes there are."""
    from onnx import helper  # noqa: PLC0415

    known = {value.name for value in [*model.graph.value_info, *model.graph.output]}
    for name, (one, several) in seen.items():
        if name not in known:
            kind = helper.np_dtype_to_tensor_dtype(one.dtype)
            sizes = [a if a == b else "batch" for a, b in zip(one.shape, several.shape, strict=True)]
            model.graph.value_info.append(helper.make_tensor_value_info(name, kind, sizes))


def _set_opset(model: Any) -> None:
    from onnx import helper  # noqa: PLC0415

    others = [entry for entry in model.opset_import if entry.domain not in (*_ONNX, DOMAIN)]
    own = helper.make_opsetid("", min(opset(model), NEWEST_KNOWN))
    others = [type(entry).FromString(entry.SerializeToString()) for entry in others]
    del model.opset_import[:]
    model.opset_import.extend([own, helper.make_opsetid(DOMAIN, 1), *others])
