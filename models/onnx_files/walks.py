"""Walking through ONNX graphs, with the graphs that their nodes hold (the branches of If, the bodies of Loop)."""

from collections.abc import Iterator
from typing import Any

CONSTANT = "Constant"


def subgraphs(node: Any) -> Iterator[Any]:
    """The onnx.GraphProto that a node's attributes hold."""
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs


def all_nodes(nodes: Any) -> Iterator[Any]:
    """Nodes, each followed by those within it."""
    for node in nodes:
        yield node
        for graph in subgraphs(node):
            yield from all_nodes(graph.node)


def all_graphs(graph: Any) -> Iterator[Any]:
    """A graph and all graphs within it."""
    yield graph
    for node in graph.node:
        for inner in subgraphs(node):
            yield from all_graphs(inner)


def all_tensors(model: Any) -> Iterator[Any]:
    """Every onnx.TensorProto that a model holds: initializers, and constants within attributes."""
    for graph in all_graphs(model.graph):
        yield from _tensors_in(graph)
        for node in graph.node:
            yield from _tensors_of(node)
    for function in model.functions:
        for node in all_nodes(function.node):
            yield from _tensors_of(node)
            for graph in subgraphs(node):
                yield from _tensors_in(graph)
    for training in model.training_info:
        for graph in (training.initialization, training.algorithm):
            yield from _tensors_in(graph)


def _tensors_in(graph: Any) -> Iterator[Any]:
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)


def _tensors_of(node: Any) -> Iterator[Any]:
    for attribute in node.attribute:
        if attribute.HasField("t"):
            yield attribute.t
        yield from attribute.tensors
        sparse = [
            *attribute.sparse_tensors,
            *([attribute.sparse_tensor] if attribute.HasField("sparse_tensor") else []),
        ]
        for tensor in sparse:
            yield from (tensor.values, tensor.indices)


def used_names(node: Any) -> set[str]:
    """Names that a node reads: its inputs, and what the graphs within it take from around them."""
    names = {name for name in node.input if name}
    for graph in subgraphs(node):
        names |= captured_names(graph)
    return names


def captured_names(graph: Any) -> set[str]:
    """Names that a graph within a node takes from around it."""
    own = {value.name for value in graph.input} | {tensor.name for tensor in graph.initializer}
    own |= {sparse.values.name for sparse in graph.sparse_initializer}
    taken: set[str] = set()
    for node in graph.node:
        taken |= used_names(node) - own
        own |= set(node.output)
    return taken | {value.name for value in graph.output} - own


def producers(graph: Any) -> dict[str, Any]:
    """By name of a tensor, the node that makes it."""
    return {name: node for node in graph.node for name in node.output if name}


def constant_value(graph: Any, name: str) -> Any:
    """The numpy array behind a name, where it is an initializer or made by a Constant node; else None."""
    from onnx import numpy_helper  # noqa: PLC0415

    for tensor in graph.initializer:
        if tensor.name == name:
            return numpy_helper.to_array(tensor)
    node = producers(graph).get(name)
    if node is None or node.op_type != CONSTANT:
        return None
    for attribute in node.attribute:
        if attribute.HasField("t"):
            return numpy_helper.to_array(attribute.t)
        if attribute.HasField("i") or attribute.HasField("f"):
            return attribute.i if attribute.HasField("i") else attribute.f
    return None


def opset(model: Any) -> int:
    """Version of ONNX's own operators that a model is written for."""
    return max((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), default=1)
