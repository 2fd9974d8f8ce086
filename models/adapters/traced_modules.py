"""Modules that are only known from a graph: which of their outputs describe an image well."""

import dataclasses
from collections.abc import Sequence

from torch import nn

from models.representations import choose_representations

_PASSING_ON = ("Dropout", "Identity")


@dataclasses.dataclass(frozen=True, kw_only=True)
class TracedModule:
    """A module that was called when the graph was made.

    Attributes:
        path: as in `named_modules()` of the network that the graph was made from.
        kind: its class, with or without the module that it is defined in.
        shape: of its output, image axis first.
        has_parameters: whether it has some of its own.
    """

    path: str
    kind: str
    shape: tuple[int, ...]
    has_parameters: bool


def default_traced(modules: Sequence[TracedModule], n_logits: int, aspect: float) -> tuple[str, ...]:
    """Those that `default_representations` finds in the network that the graph was made from.

    Args:
        modules: in the order in which their last calls end.
        aspect: height by width of the images.

    Raises:
        ModelError: none gives a tensor other than the logits.
    """
    told = [module for module in modules if module.path and module.kind.rpartition(".")[2] not in _PASSING_ON]
    outputs = {module.path: module.shape for module in told} | {"": (1, n_logits)}
    kinds = {kind: _class_called(kind) for kind in {module.kind for module in told}}
    return choose_representations(
        outputs, {module.path: _stand_in(module, kinds[module.kind]) for module in told}, aspect
    )


def _class_called(kind: str) -> type[nn.Module]:
    """Torch's own class of that name, or an empty one."""
    known = getattr(nn, kind.rpartition(".")[2], None)
    return known if isinstance(known, type) and issubclass(known, nn.Module) else type(kind, (nn.Module,), {})


def _stand_in(module: TracedModule, kind: type[nn.Module]) -> nn.Module:
    stand_in = kind.__new__(kind)
    nn.Module.__init__(stand_in)
    if module.has_parameters:
        stand_in.register_parameter("weight", nn.Parameter())
    return stand_in
