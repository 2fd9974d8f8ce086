"""Networks of a factory, in a module or in a file, with weights from a file."""

import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType

import torch
from torch import nn

from models.adapters.adapted import Adapted, NetworkKind
from models.adapters.probing import NO_GRADIENT, check_runs, grey_image, is_differentiable
from models.adapters.torchvision import torchvision_factory
from models.errors import ModelError, one_line
from models.representations import default_representations
from models.weight_files import fit_weights, read_weights

TORCHVISION = "torchvision"


def open_architecture(
    architecture: str,
    arguments: Mapping[str, object],
    weights: Path,
    folder: Path,
    *,
    input_shape: tuple[int, int, int],
    representations: Sequence[str] | None,
    device: torch.device,
) -> Adapted:
    """Build a network and put weights from a safetensors file or a state dict into it.

    Args:
        architecture, arguments, folder: as for `build_network`.
        input_shape: (channel, height, width).
        representations: modules that the spec names; found by tracing if not given.

    Raises:
        ModelError: weights or factory are not to be had or do not fit, or the network does not classify such images.
    """
    stored = read_weights(weights)
    network = build_network(architecture, arguments, folder)
    fit_weights(network, stored, weights)
    network.eval().requires_grad_(False).to(device)
    example = grey_image(input_shape, device)
    check_runs(network, example)
    can_differentiate = is_differentiable(network, example)
    return Adapted(
        network=network,
        kind=NetworkKind.TORCHVISION if architecture.startswith(f"{TORCHVISION}:") else NetworkKind.FACTORY,
        file_digest=None,
        representations=tuple(representations or default_representations(network, example)),
        is_differentiable=can_differentiate,
        limits=() if can_differentiate else (NO_GRADIENT,),
    )


def build_network(architecture: str, arguments: Mapping[str, object], folder: Path) -> nn.Module:
    """Build an untrained network.

    Args:
        architecture: `module:factory`, `path/file.py:factory` or `torchvision:NAME`.
        arguments: keyword arguments of the factory.
        folder: what the path of a file is relative to.

    Raises:
        ModelError: the factory is not to be found, fails, or gives no network.
    """
    source, _, name = architecture.rpartition(":")
    if source == TORCHVISION:
        factory = torchvision_factory(name, arguments)
    else:
        module = _module_in_file(folder / source) if source.endswith(".py") else _module(source)
        factory = _factory_in(module, name, source)
    try:
        network = factory(**arguments)
    except Exception as error:
        raise ModelError(f"{architecture} fails with arguments {dict(arguments)}: {one_line(error)}") from error
    if not isinstance(network, nn.Module):
        raise ModelError(f"{architecture} gives a {type(network).__name__}, not a torch.nn.Module")
    return network


def _factory_in(module: ModuleType, name: str, source: str) -> Callable[..., object]:
    factory: object = getattr(module, name, None)
    if not callable(factory):
        raise ModelError(f"{source} has no function {name!r} that builds a network")
    return factory


def _module(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except Exception as error:
        raise ModelError(
            f"the module {name!r} cannot be imported ({one_line(error)}); install it, or name its file as path/file.py"
        ) from error


def _module_in_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise ModelError(f"there is no file {path}")
    name = f"_spec_{hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:16]}"
    found = importlib.util.spec_from_file_location(name, path)
    if found is None or found.loader is None:
        raise ModelError(f"{path} is not a Python file")
    module = importlib.util.module_from_spec(found)
    # Dataclasses look up the module that they are written in.
    sys.modules[name] = module
    try:
        found.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        raise ModelError(f"{path} cannot be imported ({one_line(error)}); it may import installed packages") from error
    return module
