"""From the words of a spec to a network: a factory in a module, in a file, or in torchvision."""

import difflib
import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType

from torch import nn

from models.errors import ModelError, one_line
from models.torchvision_support import import_torchvision


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
    if source == "torchvision":
        factory = _torchvision_factory(name, arguments)
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


def _torchvision_factory(name: str, arguments: Mapping[str, object]) -> Callable[..., object]:
    models = import_torchvision().models
    # Models other than classifiers fetch the weights of their backbones.
    known = models.list_models(module=models)
    if name not in known:
        close = difflib.get_close_matches(name, known, n=3) or known[:3]
        raise ModelError(f"torchvision has no classifier {name!r}; near it are {', '.join(close)}")
    fetching = [argument for argument in arguments if argument in ("weights", "pretrained")]
    if fetching:
        raise ModelError(f"the argument {fetching[0]!r} would fetch weights; name a file under the spec's weights")
    builder: Callable[..., object] = models.get_model_builder(name)
    return builder


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
