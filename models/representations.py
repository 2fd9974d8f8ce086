"""Which modules' outputs describe an image well, when nobody has said so."""

from collections.abc import Callable, Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

from models.errors import ModelError
from models.maps import resolution_of

MOST_STAGES = 4

_Shapes = dict[str, tuple[int, ...]]


def default_representations(
    network: nn.Module, example: Float[Tensor, "image channel height width"]
) -> tuple[str, ...]:
    """Name the last module at each of the last few resolutions, and the one that gives the head its features.

    Found by watching one forward pass; of nested modules the outer ones are taken. The head is the run of modules at
    the end whose outputs have as many channels as there are logits. A network without several resolutions, like a
    vision transformer, is divided evenly by depth; one without maps and tokens, like a multilayer perceptron, by its
    layers.

    Raises:
        ModelError: no module gives a tensor other than the logits.
    """
    aspect = example.shape[2] / example.shape[3]
    try:
        # Of two images tables and windows, which are no representations of an image, are told by their first axis.
        outputs = _output_shapes(network, torch.cat([example, example]))
    except Exception:
        # A fixed batch axis; that is told of where the network is tried.
        outputs = _output_shapes(network, example)
    return choose_representations(outputs, dict(network.named_modules()), aspect)


def choose_representations(
    outputs: Mapping[str, tuple[int, ...]], modules: dict[str, nn.Module], aspect: float
) -> tuple[str, ...]:
    """Choose by the shapes of what modules give, wherever these were learned; see `default_representations`.

    Args:
        outputs: shape of every module's output by its name, the whole network's under "", in the order in which their
            last calls end.
        modules: by name; at least those of `outputs`.
        aspect: height by width of the images.
    """
    shapes = _without_head(dict(outputs))
    stages = _last_of_each_resolution(shapes, modules, aspect)
    if len(stages) < MOST_STAGES - 1:
        stages = _evenly_spaced_blocks(shapes, modules) or stages
    if not stages:
        stages = _evenly(_layers(shapes, modules))
    names = list(shapes)
    # A vector that comes before the stages, as that of a single patch does, is not what the head sees.
    after = names[names.index(stages[-1]) + 1 :] if stages else names
    features = [name for name in after if shapes[name][2:] in ((), (1, 1))]
    chosen = {*stages[-MOST_STAGES:], *features[-1:]}
    if not chosen:
        raise ModelError("no module to take representations from was found; name some under representations")
    return tuple(name for name in shapes if name in chosen)


def _output_shapes(network: nn.Module, example: Tensor) -> _Shapes:
    """Shape of what every module gives for each image, in the order in which their last calls end."""
    shapes: _Shapes = {}

    def record(name: str) -> Callable[[nn.Module, object, object], None]:
        def hook(_module: nn.Module, _inputs: object, output: object) -> None:
            shapes.pop(name, None)
            if isinstance(output, Tensor) and output.shape[:1] == example.shape[:1]:
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


def _last_of_each_resolution(shapes: _Shapes, modules: dict[str, nn.Module], aspect: float) -> list[str]:
    last: dict[tuple[int, ...], str] = {}
    for name, shape in shapes.items():
        resolution = resolution_of(shape, aspect)
        # Of small images an adaptive pooling makes larger maps that say nothing new.
        if resolution is None or resolution == (1, 1) or isinstance(modules[name], nn.AdaptiveAvgPool2d):
            continue
        if resolution not in last or _depth(name, shapes) <= _depth(last[resolution], shapes):
            last[resolution] = name
    return [name for name in shapes if name in last.values()]


def _depth(name: str, shapes: _Shapes) -> int:
    """How many called modules a module lies in; lists of modules are never called."""
    parts = name.split(".")
    return sum(".".join(parts[:n]) in shapes for n in range(1, len(parts)))


def _evenly_spaced_blocks(shapes: _Shapes, modules: dict[str, nn.Module]) -> list[str]:
    """Divide the longest chain of alike modules that give tokens of one shape (image, token, feature)."""
    chains: dict[tuple[str, type, tuple[int, ...]], list[str]] = {}
    for name, shape in shapes.items():
        if len(shape) == 3:
            chains.setdefault((name.rpartition(".")[0], type(modules[name]), shape), []).append(name)
    # Of chains that are equally long the outer one: a block has parts that are alike, too.
    longest = max(chains.values(), key=lambda names: (len(names), -_depth(names[0], shapes)), default=[])
    return _evenly(longest) if len(longest) > 1 else []


def _layers(shapes: _Shapes, modules: dict[str, nn.Module]) -> list[str]:
    """The last module of each layer: what has weights, and the norms and activations that follow it."""
    layers: list[str] = []
    for name, shape in shapes.items():
        module = modules[name]
        is_norm = isinstance(module, _NormBase | nn.LayerNorm | nn.GroupNorm)
        has_weights = not is_norm and next(module.parameters(recurse=False), None) is not None
        if has_weights or (layers and shapes[layers[-1]] != shape):
            layers.append(name)
        elif layers:
            layers[-1] = name
    return layers


def _evenly(names: Sequence[str]) -> list[str]:
    n_taken = min(MOST_STAGES, len(names))
    return [names[len(names) * (part + 1) // n_taken - 1] for part in range(n_taken)]
