"""Copies of nodes under other names, with the graphs that they hold."""

from typing import Any

from models.onnx_files.walks import subgraphs


class Renaming:
    """Gives every name a prefix, but those for which it has others.

    Args:
        prefix: of what is made within.
        names: what names from around become.
    """

    def __init__(self, prefix: str, names: dict[str, str]) -> None:
        self._prefix = prefix
        self._names = names

    def node(self, node: Any) -> Any:
        """A copy of a node."""
        copied = type(node)()
        copied.CopyFrom(node)
        self._rename(copied)
        return copied

    def _rename(self, node: Any) -> None:
        node.name = f"{self._prefix}{node.name}" if node.name else ""
        # What the exporter says of where the classifier's code lay is longer than the node.
        for field in ("doc_string", "metadata_props"):
            node.ClearField(field)
        for names in (node.input, node.output):
            for index, name in enumerate(names):
                names[index] = self._name(name)
        for graph in subgraphs(node):
            self._within(graph)._rename_graph(graph)

    def _within(self, graph: Any) -> "Renaming":
        """For a graph within a node, whose own names hide those of the same name around it."""
        own = {value.name for value in graph.input} | {tensor.name for tensor in graph.initializer}
        own |= {sparse.values.name for sparse in graph.sparse_initializer}
        own |= {name for node in graph.node for name in node.output}
        return Renaming(self._prefix, {name: other for name, other in self._names.items() if name not in own})

    def _rename_graph(self, graph: Any) -> None:
        named = [*graph.input, *graph.output, *graph.value_info, *graph.initializer]
        named += [sparse.values for sparse in graph.sparse_initializer]
        for value in named:
            value.name = self._name(value.name)
        for node in graph.node:
            self._rename(node)

    def _name(self, name: str) -> str:
        # An input that is left out has no name.
        return self._names.get(name, f"{self._prefix}{name}") if name else ""
