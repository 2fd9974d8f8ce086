"""A classifier's graph put into a graph that was traced around it, in place of each call.

torch.export sees a call of a classifier that comes as an ONNX file as one operator. `translations` writes it as a node
in a domain of our own, and `splice` replaces such nodes by the classifier's own.
"""

from collections.abc import Callable, Iterator
from typing import Any

import torch

from models.onnx_files.operator import DOMAIN, OPERATOR, network_of
from models.onnx_files.opset_conversion import classifier_in_opset, in_opset
from models.onnx_files.outputs import set_nodes
from models.onnx_files.renaming import Renaming
from models.onnx_files.walks import CONSTANT, all_graphs, opset

_ONNX = ("", "ai.onnx")


def translations() -> dict[Any, Callable[..., Any]]:
    """For the argument `custom_translation_table` of torch.onnx.export with dynamo=True; `splice` what it gives."""
    return {torch.ops.isthmus.onnx_network.default: _call_of_classifier}


def _call_of_classifier(images: Any, handle: int) -> Any:
    import onnx_ir  # noqa: PLC0415
    from onnxscript import evaluator  # noqa: PLC0415

    call = onnx_ir.Node(
        DOMAIN,
        OPERATOR,
        [images],
        [onnx_ir.AttrInt64("handle", handle)],
        num_outputs=len(network_of(handle).output_shapes),
        version=1,
    )
    # How many outputs there are follows from the handle, which no schema can say.
    recorder: Any = evaluator.default()
    recorder.nodes.append(call)
    return call.outputs


def splice(model: Any) -> Any:
    """Replace every call of a classifier by its graph; its weights are there once, however often it is called.

    Args:
        model: an onnx.ModelProto with nodes that `translations` wrote; not changed.

    Raises:
        ModelError: a classifier is no longer open, or its opset cannot be brought to that of the model.
    """
    import onnx  # noqa: PLC0415

    spliced = onnx.ModelProto()
    spliced.CopyFrom(model)
    handles = sorted({handle for graph in all_graphs(spliced.graph) for handle in _handles_in(graph)})
    if not handles:
        return spliced
    classifiers = {handle: network_of(handle).model for handle in handles}
    newest = max(opset(spliced), *(opset(classifier) for classifier in classifiers.values()))
    spliced = in_opset(spliced, newest)
    parts = {
        handle: _Part(classifier_in_opset(classifier, newest), _free_prefix(spliced, index))
        for index, (handle, classifier) in enumerate(classifiers.items())
    }
    # Graphs within go first, since the nodes that hold them are copied.
    for graph in reversed(list(all_graphs(spliced.graph))):
        _replace_calls(graph, parts)
    for part in parts.values():
        spliced.graph.initializer.extend(part.weights)
        spliced.graph.sparse_initializer.extend(part.sparse_weights)
    _merge_opsets(spliced, [part.model for part in parts.values()], newest)
    return spliced


def _handles_in(graph: Any) -> Iterator[int]:
    for node in graph.node:
        if node.domain == DOMAIN and node.op_type == OPERATOR:
            yield _handle(node)


def _handle(node: Any) -> int:
    handle: int = next(attribute.i for attribute in node.attribute if attribute.name == "handle")
    return handle


class _Part:
    """A classifier's graph, of which copies are made.

    Attributes:
        model: the onnx.ModelProto.
        weights, sparse_weights: under the names that all copies call them by.
    """

    def __init__(self, model: Any, prefix: str) -> None:
        self.model = model
        self.prefix = prefix
        self.n_copies = 0
        self._shared: dict[str, str] = {}
        self.weights = [self._weight(tensor, tensor.name) for tensor in model.graph.initializer]
        constants = [node for node in model.graph.node if _is_tensor(node)]
        self.weights += [self._weight(node.attribute[0].t, node.output[0]) for node in constants]
        self.sparse_weights = []
        for sparse in model.graph.sparse_initializer:
            copied = type(sparse)()
            copied.CopyFrom(sparse)
            copied.values.name = self._shared[sparse.values.name] = f"{prefix}{sparse.values.name}"
            self.sparse_weights.append(copied)

    def _weight(self, tensor: Any, name: str) -> Any:
        copied = type(tensor)()
        copied.CopyFrom(tensor)
        copied.name = self._shared[name] = f"{self.prefix}{name}"
        return copied

    def nodes_for(self, call: Any) -> list[Any]:
        """A copy of the nodes that takes and gives what a call does."""
        prefix = f"{self.prefix}{self.n_copies}/"
        self.n_copies += 1
        graph = self.model.graph
        names = dict(self._shared)
        names[graph.input[0].name] = call.input[0]
        for value, name in zip(graph.output, call.output, strict=False):
            if name:
                names[value.name] = name
        renaming = Renaming(prefix, names)
        return [renaming.node(node) for node in graph.node if not _is_tensor(node)]


def _is_tensor(node: Any) -> bool:
    return node.op_type == CONSTANT and len(node.attribute) == 1 and node.attribute[0].HasField("t")


def _replace_calls(graph: Any, parts: dict[int, _Part]) -> None:
    nodes = []
    for node in graph.node:
        is_call = node.domain == DOMAIN and node.op_type == OPERATOR
        nodes += parts[_handle(node)].nodes_for(node) if is_call else [node]
    set_nodes(graph, nodes)


def _free_prefix(model: Any, index: int) -> str:
    names = {name for graph in all_graphs(model.graph) for node in graph.node for name in (*node.input, *node.output)}
    names |= {tensor.name for tensor in model.graph.initializer} | {value.name for value in model.graph.input}
    prefix = f"classifier{index}/"
    while any(name.startswith(prefix) for name in names):
        prefix = f"_{prefix}"
    return prefix


def _merge_opsets(model: Any, parts: list[Any], newest: int) -> None:
    versions = {"": newest}
    for part in (model, *parts):
        for entry in part.opset_import:
            if entry.domain not in (*_ONNX, DOMAIN):
                versions[entry.domain] = max(entry.version, versions.get(entry.domain, 0))
    from onnx import helper  # noqa: PLC0415

    del model.opset_import[:]
    model.opset_import.extend(helper.make_opsetid(domain, version) for domain, version in versions.items())
    model.ir_version = max(part.ir_version for part in (model, *parts))
