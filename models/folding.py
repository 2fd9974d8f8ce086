"""Batch norms that follow a convolution are folded into its weights: the same outputs in fewer passes over memory."""

import copy
from collections import Counter

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torch.utils._pytree import tree_leaves

from models.watching import Watch


def fold_batch_norm(network: nn.Module, example: Float[Tensor, "image channel height width"]) -> nn.Module:
    """Copy a network in eval mode, with every convolution that feeds a batch norm alone fused with it.

    Pairs are found by watching one forward pass. Names of modules stay: where a batch norm was, an identity is. A
    convolution with forward hooks is left alone, since its output is somebody's. A network that fails on `example`
    is copied unchanged.

    Args:
        network: maps normalised images to logits.
        example: what the network is watched on.
    """
    folded = copy.deepcopy(network).eval()
    replacements: dict[nn.Module, nn.Module] = {}
    for convolution, norm in _foldable_pairs(folded, example):
        replacements[convolution] = fuse_conv_bn_eval(convolution, norm)
        replacements[norm] = nn.Identity()
        replacements[norm]._forward_hooks = norm._forward_hooks
    for module in list(folded.modules()):
        for name, child in list(module._modules.items()):
            if child in replacements:
                setattr(module, name, replacements[child])
    return folded


def _foldable_pairs(network: nn.Module, example: Tensor) -> list[tuple[nn.Conv2d, nn.BatchNorm2d]]:
    watch = Watch()
    # Exact types: a subclass may compute something else.
    kinds = (nn.Conv2d, nn.BatchNorm2d)
    watched = [module for module in network.modules() if type(module) in kinds]
    hooked = {module for module in watched if module._forward_hooks}
    handles = [module.register_forward_hook(watch.record_call) for module in watched]
    try:
        with torch.no_grad(), watch:
            returned = network(example)
    except Exception:
        return []
    finally:
        for handle in handles:
            handle.remove()
    uses = watch.uses + Counter(id(leaf) for leaf in tree_leaves(returned))
    n_calls = Counter(module for module, _, _ in watch.calls)
    makers = {id(output): module for module, _, output in watch.calls if isinstance(module, nn.Conv2d)}
    pairs = []
    for norm, taken, _ in watch.calls:
        convolution = makers.get(id(taken))
        if not isinstance(norm, nn.BatchNorm2d) or not isinstance(convolution, nn.Conv2d):
            continue
        is_called_once = n_calls[norm] == n_calls[convolution] == 1
        if is_called_once and uses[id(taken)] == 1 and convolution not in hooked and norm.running_mean is not None:
            pairs.append((convolution, norm))
    return pairs
