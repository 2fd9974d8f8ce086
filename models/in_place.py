"""Rectifiers that write over their input, where nobody else reads it: the same outputs in less memory traffic."""

from collections import Counter
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional
from torch.utils._pytree import tree_leaves

from models.watching import Watch

_KEEPS_NO_OUTPUT: frozenset[Callable[..., object]] = frozenset(
    {torch.conv2d, functional.linear, functional.batch_norm, torch.add, Tensor.add, Tensor.__add__}
)
"""What these give may be written over: their gradients are made of what they took."""


def rectify_in_place(network: nn.Module, example: Float[Tensor, "image channel height width"]) -> None:
    """Let every `nn.ReLU` whose input is its own work in place; the network is changed, its outputs are not.

    Which those are is found by watching one forward pass: the input must be the result of a convolution, a linear
    layer, a batch norm or a sum, taken by the rectifier alone, and no output of a module with forward hooks, since
    such an output is somebody's. A rectifier that is called several times must be so each time. A network that fails
    on `example` is left as it is.

    Args:
        network: in eval mode; maps normalised images to logits.
        example: what the network is watched on.
    """
    watch = Watch()
    rectifiers = [module for module in network.modules() if type(module) is nn.ReLU]
    hooked = [module for module in network.modules() if module._forward_hooks]
    # Hooks of others come first, so that what one puts in an output's place is what is seen.
    handles = [module.register_forward_hook(watch.record_call) for module in [*rectifiers, *hooked]]
    try:
        with torch.no_grad(), watch:
            returned = network(example)
    except Exception:
        return
    finally:
        for handle in handles:
            handle.remove()
    uses = watch.uses + Counter(id(leaf) for leaf in tree_leaves(returned))
    wanted = {id(leaf) for module, _, output in watch.calls if module in hooked for leaf in tree_leaves(output)}
    in_use = {
        module
        for module, taken, _ in watch.calls
        if type(module) is nn.ReLU and not _is_its_own(taken, uses, wanted, watch.makers)
    }
    called = {module for module, _, _ in watch.calls if type(module) is nn.ReLU}
    for module in called - in_use:
        module.inplace = True


def _is_its_own(taken: Tensor, uses: Counter[int], wanted: set[int], makers: dict[int, Callable[..., object]]) -> bool:
    is_plain = makers.get(id(taken)) in _KEEPS_NO_OUTPUT and not taken._is_view()
    return is_plain and uses[id(taken)] == 1 and id(taken) not in wanted
