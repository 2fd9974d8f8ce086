"""The packages that peers come from: of the extra `bench`, imported only where a peer is fitted."""

import importlib
import importlib.metadata
from types import ModuleType

from service.errors import InputError

ART = "adversarial-robustness-toolbox"
PYTORCH_OOD = "pytorch-ood"

_MODULES = {ART: "art", PYTORCH_OOD: "pytorch_ood"}


class MissingPeerError(InputError):
    """The package of a peer is not installed, or cannot be imported."""


def require_packages() -> None:
    """Refuse before anything is computed what would fail later.

    Raises:
        MissingPeerError: a package of the extra `bench` is missing.
    """
    for package in _MODULES:
        part_of(package)


def part_of(package: str, submodule: str = "") -> ModuleType:
    """A module of one of the packages.

    Raises:
        MissingPeerError: it is missing.
    """
    # Both may import torchvision, which has to be helped beside CPU torch.
    from models.torchvision_support import import_torchvision  # noqa: PLC0415

    name = f"{_MODULES[package]}.{submodule}" if submodule else _MODULES[package]
    try:
        import_torchvision()
        return importlib.import_module(name)
    except ImportError as error:
        raise MissingPeerError(
            f"peers need {package}, which cannot be imported ({error}); install it with: pip install 'isthmus[bench]'"
        ) from error


def titled(package: str) -> str:
    """The package with the version that is installed."""
    return f"{package} {importlib.metadata.version(package)}"
