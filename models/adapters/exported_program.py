"""Networks saved by torch.export (.pt2): graphs of operations that remember which module each came from."""

import difflib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor
from torch.export import ExportedProgram
from torch.export.passes import move_to_device_pass
from torch.fx import GraphModule, Node
from torch.fx.graph import CodeGen

from models.adapters.adapted import Adapted, NetworkKind
from models.adapters.probing import NO_GRADIENT, check_runs, grey_image, is_differentiable
from models.adapters.program_archive import read_program
from models.adapters.tapped import Tapped
from models.adapters.traced_modules import TracedModule, default_traced
from models.errors import ModelError, one_line

_LATER_CALL = re.compile(r"@\d+")
_FREE_BATCH = 'torch.export.export(network, (images,), dynamic_shapes=({0: torch.export.Dim("batch")},))'


class ExportedProgramNetwork(Tapped):
    """A graph with intermediate values as further outputs.

    Args:
        graph: gives logits and representations for images in `dtype`.
        representations: names of what it gives after the logits.
    """

    def __init__(self, graph: GraphModule, representations: Sequence[str], dtype: torch.dtype) -> None:
        super().__init__(representations)
        self.graph = graph
        self.dtype = dtype

    def forward(self, images: Tensor) -> Tensor:
        """Logits of normalised images."""
        logits, *representations = self.graph(images.to(self.dtype))
        return self.tapped(logits.float(), [values.float() for values in representations])


def open_exported_program(
    path: Path,
    *,
    representations: Sequence[str] | None,
    input_shape: tuple[int, int, int],
    device: torch.device,
) -> Adapted:
    """Read a .pt2 file.

    Args:
        representations: modules of the network that was exported, or values of the graph; found if not given.
        input_shape: (channel, height, width).
        device: where it will run; a program does not move later.

    Raises:
        ModelError: the file is missing, damaged or unsafe; the program takes other images, a fixed number of them or
            trains; or a representation is not to be found.
    """
    program, digest = read_program(path)
    images = _input_of(program, input_shape, path)
    if device.type != "cpu":
        program = move_to_device_pass(program, device)
    graph = _frozen_graph(program, path)
    outputs = _outputs_of_modules(graph)
    names = tuple(representations or _default(graph, outputs, program, input_shape))
    nodes = [_named(name, graph, outputs) for name in names]
    network = ExportedProgramNetwork(_with_outputs(graph, nodes), names, images.dtype).requires_grad_(False)
    example = grey_image(input_shape, device)
    check_runs(network, example)
    can_differentiate = is_differentiable(network, example)
    return Adapted(
        network=network,
        kind=NetworkKind.EXPORTED_PROGRAM,
        file_digest=digest,
        representations=names,
        is_differentiable=can_differentiate,
        limits=() if can_differentiate else (NO_GRADIENT,),
    )


def _input_of(program: ExportedProgram, input_shape: tuple[int, int, int], path: Path) -> Tensor:
    """What stands for the images; checked to be the one input, of the spec's shape and with a free batch axis."""
    inputs, outputs = program.graph_signature.user_inputs, program.graph_signature.user_outputs
    if len(inputs) != 1 or len(outputs) != 1:
        raise ModelError(
            f"the program {path} has {len(inputs)} inputs and {len(outputs)} outputs; a classifier has one of each, "
            "images and logits"
        )
    images = next(node for node in program.graph.nodes if node.name == inputs[0]).meta["val"]
    if not isinstance(images, Tensor) or images.ndim != 4:
        raise ModelError(f"the program {path} does not take images of shape (image, channel, height, width)")
    # A free size is a torch.SymInt, which annotations keep quiet about.
    sizes: tuple[object, ...] = tuple(images.shape)
    fixed = tuple(size if isinstance(size, int) else None for size in sizes)
    if fixed[0] is not None:
        raise ModelError(
            f"the program {path} takes batches of {fixed[0]} alone; export it with a free batch axis: {_FREE_BATCH}"
        )
    if any(size not in (None, wanted) for size, wanted in zip(fixed[1:], input_shape, strict=True)):
        raise ModelError(
            f"the program {path} takes images of shape {fixed[1:]} (channel, height, width), the spec says "
            f"{input_shape}; correct channels and input_size"
        )
    return images


def _frozen_graph(program: ExportedProgram, path: Path) -> GraphModule:
    for node in program.graph.nodes:
        if node.op == "call_function" and _trains(node):
            raise ModelError(
                f"the program {path} is in training mode ({node.name} trains); export the network after network.eval()"
            )
    try:
        graph = program.module(check_guards=False)
    except Exception as error:
        raise ModelError(f"the program {path} cannot be run ({one_line(error)}); export it again") from error
    assert isinstance(graph, GraphModule)
    return graph


def _trains(node: Node) -> bool:
    schema = getattr(node.target, "_schema", None)
    names = [argument.name for argument in schema.arguments] if schema is not None else []
    return any(
        name in ("training", "train") and bool(value)
        for name, value in [*zip(names, node.args, strict=False), *node.kwargs.items()]
    )


def _outputs_of_modules(graph: GraphModule) -> dict[str, Node]:
    """By path of a module, the last value of its that is used outside, in the order in which last calls end."""
    inside: dict[str, list[Node]] = {}
    for node in graph.graph.nodes:
        for path in _stack_of(node):
            inside.setdefault(path, []).append(node)
    order = {node: index for index, node in enumerate(graph.graph.nodes)}
    last: dict[str, Node] = {}
    for path, nodes in inside.items():
        held = set(nodes)
        leaving = [node for node in nodes if _is_tensor(node) and not held.issuperset(node.users)]
        if path and leaving:
            last[path] = leaving[-1]
    # Of modules that end with the same operation the inner one ends first.
    return dict(sorted(last.items(), key=lambda item: (order[item[1]], -item[0].count("."))))


def _stack_of(node: Node) -> dict[str, str]:
    """Paths of the modules that a value was computed in, from the outermost on, with their classes."""
    stack = node.meta.get("nn_module_stack") if node.op == "call_function" else None
    return {_LATER_CALL.sub("", path): str(kind) for path, kind in (stack or {}).values()}


def _is_tensor(node: Node) -> bool:
    return isinstance(node.meta.get("val"), Tensor)


def _default(
    graph: GraphModule, outputs: Mapping[str, Node], program: ExportedProgram, input_shape: tuple[int, int, int]
) -> tuple[str, ...]:
    owners = {name.rpartition(".")[0] for name in program.graph_signature.parameters}
    modules = [
        TracedModule(path=path, kind=_stack_of(node)[path], shape=_shape(node), has_parameters=path in owners)
        for path, node in outputs.items()
    ]
    return default_traced(modules, _shape(_logits(graph))[1], input_shape[1] / input_shape[2])


def _shape(node: Node) -> tuple[int, ...]:
    """With one image where their number is free."""
    return tuple(size if isinstance(size, int) else 1 for size in node.meta["val"].shape)


def _logits(graph: GraphModule) -> Node:
    node: object = graph.graph.output_node().args[0]
    while isinstance(node, tuple | list):
        node = node[0]
    if not isinstance(node, Node) or not _is_tensor(node) or node.meta["val"].ndim != 2:
        raise ModelError("the program gives no tensor of logits of shape (image, label)")
    return node


def _named(name: str, graph: GraphModule, outputs: Mapping[str, Node]) -> Node:
    if name in outputs:
        return outputs[name]
    values: dict[str, Node] = {
        node.name: node for node in graph.graph.nodes if node.op == "call_function" and _is_tensor(node)
    }
    if name in values:
        return values[name]
    close = difflib.get_close_matches(name, [*outputs, *values], n=3, cutoff=0.4) or list(outputs)[-3:]
    raise ModelError(
        f"the network has no module {name!r} that gave a tensor when it was exported; near it are "
        f"{', '.join(repr(other) for other in close)}"
    )


def _with_outputs(graph: GraphModule, nodes: Sequence[Node]) -> GraphModule:
    """A module of the graph that takes images alone, and gives logits and then the values of the nodes."""
    output = graph.graph.output_node()
    output.args = ((_logits(graph), *nodes),)
    graph.graph.set_codegen(CodeGen())
    # The module at hand checks every batch against what was written down when it was exported, which is done once.
    return GraphModule(graph, graph.graph)
