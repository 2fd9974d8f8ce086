"""Watching one forward pass: which operations take and make each tensor."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves


class Watch(TorchFunctionMode):
    """Counts the operations that take each tensor, and keeps what chosen modules took and gave.

    Attributes:
        uses: by id of a tensor, the operations that made a tensor of it, or copied it.
        makers: by id of a tensor, the function that gave it first.
        calls: (module, its input, its output) of every call.
    """

    def __init__(self) -> None:
        super().__init__()
        self.uses: Counter[int] = Counter()
        self.makers: dict[int, Callable[..., object]] = {}
        self.calls: list[tuple[nn.Module, Tensor, Tensor]] = []
        # An id is only good while its tensor lives.
        self._alive: list[object] = []

    def record_call(self, module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        """The forward hook that keeps a module's call; for modules of one tensor alone."""
        self.calls.append((module, inputs[0], output))

    def __torch_function__(
        self,
        func: Callable[..., object],
        types: Sequence[type],
        args: tuple[object, ...] = (),
        kwargs: Mapping[str, object] | None = None,
    ) -> object:
        result = func(*args, **(kwargs or {}))
        made = [leaf for leaf in tree_leaves(result) if isinstance(leaf, Tensor)]
        # Asking for a shape is no use of a tensor; making another of it is, and so is copying it into one, which gives
        # nothing back.
        if made or result is None:
            taken = {id(leaf): leaf for leaf in tree_leaves((args, dict(kwargs or {}))) if isinstance(leaf, Tensor)}
            self.uses.update(taken.keys())
            for leaf in made:
                self.makers.setdefault(id(leaf), func)
            self._alive += [*taken.values(), result]
        return result
