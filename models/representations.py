"""Which modules' outputs describe an image well, when nobody has said so."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from models.errors import ModelError

MOST_STAGES = 4

_Shapes = dict[str, tuple[int, ...]]


def default_representations(
    network: nn.Module, example: Float[Tensor, "image channel height width"]
) -> tuple[str, ...]:
    """Name the last module at each of the last few resolutions, and the one that gives the head its features.

    Found by watching one forward pass; of nested modules the outer ones are taken. The head is the run of modules at
    the end whose outputs have as many channels as there are logits. A network without several resolutions, like a
    vision transformer, is divided evenly by depth.

    Raises:
        ModelError: no module gives a tensor other than the logits.
    """
    shapes = _without_head(_output_shapes(network, example))
    stages = _last_of_each_resolution(shapes, example.shape[2] / example.shape[3])
    if len(stages) < MOST_STAGES - 1:
        stages = _evenly_spaced_blocks(network, shapes) or stages
    features = [name for name, shape in shapes.items() if shape[2:] in ((), (1, 1))]
    chosen = {*stages[-MOST_STAGES:], *features[-1:]}
    if not chosen:
        raise ModelError("no module to take representations from was found; name some under representations")
    return tuple(name for name in shapes if name in chosen)


def _output_shapes(network: nn.Module, example: Tensor) -> _Shapes:
    """Shape of every module's output but the whole network's, in the order in which their last calls end."""
    shapes: _Shapes = {}

    def record(name: str) -> Callable[[nn.Module, object, object], None]:
        def hook(_module: nn.Module, _inputs: object, output: object) -> None:
            shapes.pop(name, None)
            if isinstance(output, Tensor):
                shapes[name] = tuple(output.shape)

        return hook

    # Dropout passes on in eval mode what another module made, which has the better name.
    handles = [
        module.register_forward_hook(record(name))
        for name, module in network.named_modules()
        if not isinstance(module, nn.Dropout | nn.Identity)
    ]
    try:
        with torch.no_grad():
            network(example)
    finally:
        for handle in handles:
            handle.remove()
    return shapes


def _without_head(shapes: _Shapes) -> _Shapes:
    n_logits = shapes[""][1]
    names = list(shapes)
    while names and shapes[names[-1]][1:2] == (n_logits,):
        names.pop()
    return {name: shapes[name] for name in names}


def _last_of_each_resolution(shapes: _Shapes, aspect: float) -> list[str]:
    last: dict[tuple[int, ...], str] = {}
    for name, shape in shapes.items():
        resolution = shape[2:]
        if len(resolution) != 2 or resolution == (1, 1):
            continue
        # Some networks pass (height, width, channel) about within their blocks.
        is_map = abs(resolution[0] - resolution[1] * aspect) <= 1
        if is_map and (resolution not in last or _depth(name, shapes) <= _depth(last[resolution], shapes)):
            last[resolution] = name
    return [name for name in shapes if name in last.values()]


def _depth(name: str, shapes: _Shapes) -> int:
    """How many called modules a module lies in; lists of modules are never called."""
    parts = name.split(".")
    return sum(".".join(parts[:n]) in shapes for n in range(1, len(parts)))


def _evenly_spaced_blocks(network: nn.Module, shapes: _Shapes) -> list[str]:
    """Divide the longest chain of alike modules that give tokens of one shape (image, token, feature)."""
    chains: dict[tuple[str, type, tuple[int, ...]], list[str]] = {}
    modules = dict(network.named_modules())
    for name, shape in shapes.items():
        if len(shape) == 3:
            chains.setdefault((name.rpartition(".")[0], type(modules[name]), shape), []).append(name)
    longest = max(chains.values(), key=len, default=[])
    if len(longest) < MOST_STAGES:
        return []
    return [longest[len(longest) * (part + 1) // MOST_STAGES - 1] for part in range(MOST_STAGES)]
