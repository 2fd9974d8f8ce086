"""Taking the outputs of named modules out of a forward pass, and putting others in their place."""

import dataclasses
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

from torch import Tensor, nn

from models.errors import ModelError
from models.maps import has_channels_last


@dataclasses.dataclass(slots=True, kw_only=True)
class HookedCall:
    """One running forward pass, as the hooks see it.

    Attributes:
        replacements: by module name; what takes the place of its output, in any shape with as many values.
        captured: by module name, what the module gave, filled in as the pass goes on; maps of one pixel come flattened,
            and those with their channels last as tokens (image, token, feature).
        replaced: names of the modules whose output was replaced so far.
    """

    replacements: Mapping[str, Tensor]
    captured: dict[str, Tensor] = dataclasses.field(default_factory=dict)
    replaced: set[str] = dataclasses.field(default_factory=set)


# Hooks ask what the running call wants, so that two threads may call one classifier at once.
_running: ContextVar[HookedCall | None] = ContextVar("running", default=None)


@contextmanager
def hooked_call(replacements: Mapping[str, Tensor] | None = None) -> Iterator[HookedCall]:
    """Within it, hooks of this thread capture outputs, and replace those that replacements are given for."""
    call = HookedCall(replacements=replacements or {})
    token = _running.set(call)
    try:
        yield call
    finally:
        _running.reset(token)


class OutputHook:
    """The forward hook that hands a module's output to the call that is running, if one is, or takes one from it.

    Args:
        name: of the module.
        aspect: height by width of the images; tells maps with their channels last.
    """

    def __init__(self, name: str, aspect: float) -> None:
        self.name, self.aspect = name, aspect

    def __call__(self, _module: nn.Module, _inputs: tuple[object, ...], output: object) -> Tensor | None:
        call = _running.get()
        if call is None:
            return None
        if not isinstance(output, Tensor):
            raise ModelError(
                f"module {self.name!r} gives a {type(output).__name__}, not a tensor; name another representation"
            )
        replacement = self._replacement(call, output)
        given = output if replacement is None else replacement
        call.captured[self.name] = self._plain(given)
        return replacement

    def _plain(self, output: Tensor) -> Tensor:
        pixels = slice(1, 3) if has_channels_last(output.shape, self.aspect) else slice(2, 4)
        if output.ndim == 4 and output.shape[pixels] == (1, 1):
            return output.flatten(1)
        return output.flatten(1, 2) if pixels.start == 1 else output

    def _replacement(self, call: HookedCall, output: Tensor) -> Tensor | None:
        if self.name not in call.replacements:
            return None
        if self.name in call.replaced:
            raise ModelError(f"module {self.name!r} runs more than once in a pass, so that no one output stands for it")
        call.replaced.add(self.name)
        wanted = call.replacements[self.name]
        if len(wanted) != len(output) or wanted.numel() != output.numel():
            raise ModelError(
                f"module {self.name!r} gives activations of shape {tuple(output.shape)}, but those to resume from have "
                f"shape {tuple(wanted.shape)}; give them as the representation comes, one of each image"
            )
        # A copy, since what follows may work in place.
        return wanted.reshape(output.shape).clone()
