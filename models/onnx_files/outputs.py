"""Graphs with other outputs: tensors from within them, by name, and nothing computed that none of them needs."""

from collections.abc import Sequence
from typing import Any

from models.errors import ModelError
from models.onnx_files.graphs import image_input, near_names
from models.onnx_files.walks import producers, used_names

_FLOAT32 = 1
_FIRST_IR_WITH_WEIGHTS_ALONE = 4


def with_outputs(model: Any, names: Sequence[str]) -> Any:
    """A copy of a graph that gives the tensors called `names`, in their order, and no others.

    Nodes, weights and known shapes that none of them depends on are left out. Types of outputs are not filled in.

    Args:
        model: an onnx.ModelProto; not changed.
        names: of tensors that its nodes make, each once.

    Raises:
        ModelError: a name that no node makes.
    """
    import onnx  # noqa: PLC0415

    made = producers(model.graph)
    for name in names:
        if name not in made:
            raise ModelError(f"the graph has no tensor {name!r}; {near_names(name, list(made))}")
    nodes = needed_nodes(model.graph, names)
    read = set().union(*(used_names(node) for node in nodes))
    graph = onnx.GraphProto(name=model.graph.name)
    graph.node.extend(nodes)
    graph.initializer.extend(tensor for tensor in model.graph.initializer if tensor.name in read)
    graph.sparse_initializer.extend(sparse for sparse in model.graph.sparse_initializer if sparse.values.name in read)
    graph.input.append(image_input(model))
    known = {value.name: value for value in [*model.graph.value_info, *model.graph.output]}
    there = {name for node in nodes for name in node.output} - set(names)
    graph.value_info.extend(value for name, value in known.items() if name in there)
    graph.output.extend(known.get(name, onnx.ValueInfoProto(name=name)) for name in names)
    # Before, weights had to be inputs, too.
    version = max(model.ir_version, _FIRST_IR_WITH_WEIGHTS_ALONE)
    changed = onnx.ModelProto(ir_version=version, producer_name=model.producer_name, graph=graph)
    changed.opset_import.extend(model.opset_import)
    return changed


def needed_nodes(graph: Any, names: Sequence[str]) -> list[Any]:
    """Those of a graph's nodes that the tensors called `names` depend on, in their order."""
    wanted = set(names)
    needed = []
    # Nodes come in an order in which each follows what it reads.
    for node in reversed(graph.node):
        if wanted.intersection(node.output):
            wanted |= used_names(node)
            needed.append(node)
    return needed[::-1]


def set_nodes(graph: Any, nodes: Sequence[Any]) -> None:
    """Give a graph these nodes and no others; some may be its own."""
    # Those of a graph that is emptied are gone.
    copies = [type(node).FromString(node.SerializeToString()) for node in nodes]
    del graph.node[:]
    graph.node.extend(copies)


def in_float32(model: Any, types: Sequence[int]) -> Any:
    """A graph that takes and gives float32, whatever it works in: a copy, or the one given if it does so already.

    Args:
        model: with one input, as `with_outputs` leaves it.
        types: onnx.TensorProto.DataType of each output.
    """
    import onnx  # noqa: PLC0415
    from onnx import helper  # noqa: PLC0415

    if {model.graph.input[0].type.tensor_type.elem_type, *types} == {_FLOAT32}:
        return model
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    graph = changed.graph
    value = graph.input[0]
    if value.type.tensor_type.elem_type != _FLOAT32:
        given = f"{value.name}/float32"
        cast = helper.make_node("Cast", [given], [value.name], name=given, to=value.type.tensor_type.elem_type)
        value.name = given
        value.type.tensor_type.elem_type = _FLOAT32
        nodes = list(graph.node)
        del graph.node[:]
        graph.node.extend([cast, *nodes])
    for output, kind in zip(graph.output, types, strict=True):
        if kind != _FLOAT32:
            given = f"{output.name}/float32"
            graph.node.append(helper.make_node("Cast", [output.name], [given], name=given, to=_FLOAT32))
            output.name = given
    return changed
