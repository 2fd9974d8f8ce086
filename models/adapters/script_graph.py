"""Intermediate values of TorchScript: its graph is written out until calls of the wanted modules are in plain sight.

Hooks of modules inside a script never run, since torch interprets its graph as a whole.
"""

import re
from collections.abc import Sequence
from typing import Any

import torch
from torch.jit import ScriptModule

_CALL, _ATTRIBUTE = "prim::CallMethod", "prim::GetAttr"
_FORWARD = re.compile(r"forward\d*")
"""Each time that a module runs is a method of its own where a network was traced."""


def called_modules(script: ScriptModule) -> list[str]:
    """Paths of the modules that are called outside of loops and branches and give a tensor, as their last calls end."""
    graph = script.graph.copy()
    numbers = _written_out(graph, script, None)
    order = {value.unique(): index for index, value in enumerate(_values(graph))}
    tensors = {value.unique() for value in _values(graph) if value.type().kind() == "TensorType"}
    called = [path for path, number in numbers.items() if path and number in tensors]
    return sorted(called, key=lambda path: (order[numbers[path]], -path.count(".")))


def with_outputs(script: ScriptModule, paths: Sequence[str]) -> Any:
    """A function of the script and its images that gives a tuple: what the script gives, then what the modules give.

    Args:
        paths: some of `called_modules`; at least one.
    """
    graph = script.graph.copy()
    numbers = _written_out(graph, script, paths)
    values = {value.unique(): value for value in _values(graph)}
    for path in paths:
        graph.registerOutput(values[numbers[path]])
    graph.makeMultiOutputIntoTuple()
    return torch._C._create_function_from_graph("forward", graph)


def _values(graph: Any) -> list[Any]:
    return [*graph.inputs(), *(value for node in graph.nodes() for value in node.outputs())]


def _written_out(graph: Any, script: ScriptModule, paths: Sequence[str] | None) -> dict[str, int]:
    """Put the graphs of modules in the place of their calls, in place: of all, or of those that the paths lead through.

    Returns:
        by path of a called module, the number of what its last call gives.
    """
    modules = dict(script.named_modules())
    # Torch renames values whose name another takes.
    numbers: dict[str, int] = {}
    while (call := _next_call(graph, paths)) is not None:
        node, owner, method = call
        graph.setInsertPoint(node)
        (written,) = graph.insertGraph(modules[owner]._c._get_method(method).graph, list(node.inputs()))
        replaced = node.output().unique()
        if _FORWARD.fullmatch(method):
            numbers[owner] = replaced
        numbers = {path: written.unique() if number == replaced else number for path, number in numbers.items()}
        node.output().replaceAllUsesWith(written)
        node.destroy()
    left = {owner: node.output().unique() for node, owner, method in _calls(graph) if _FORWARD.fullmatch(method)}
    return numbers | left


def _next_call(graph: Any, paths: Sequence[str] | None) -> tuple[Any, str, str] | None:
    """The first call that is to be written out: its node, the path of the module and the name of its method."""

    def leads_on(owner: str) -> bool:
        return paths is None or owner == "" or any(path.startswith(f"{owner}.") for path in paths)

    return next((call for call in _calls(graph) if leads_on(call[1])), None)


def _calls(graph: Any) -> list[tuple[Any, str, str]]:
    root = next(graph.inputs()).unique()
    found = []
    for node in graph.findAllNodes(_CALL, False):
        owner = _path(node.inputsAt(0), root)
        if owner is not None:
            found.append((node, owner, str(node.s("name"))))
    return found


def _path(value: Any, root: int) -> str | None:
    """Path of the module that a value stands for; None where it was not looked up from the root."""
    names: list[str] = []
    while value.unique() != root:
        node = value.node()
        if node.kind() != _ATTRIBUTE:
            return None
        names.append(str(node.s("name")))
        value = node.inputsAt(0)
    return ".".join(reversed(names))
