import builtins
import importlib
from typing import Any

import pytest

from service.bench.peers.packages import ART, PYTORCH_OOD, MissingPeerError, part_of, require_packages, titled


@pytest.mark.parametrize(("package", "module"), [(ART, "art"), (PYTORCH_OOD, "pytorch_ood")])
def test_a_missing_package_is_refused_with_the_command_that_installs_it(
    package: str, module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = importlib.import_module

    def without(name: str, *given: Any) -> Any:
        if name.partition(".")[0] == module:
            raise ModuleNotFoundError(f"No module named {module!r}")
        return found(name, *given)

    monkeypatch.setattr(importlib, "import_module", without)
    expected = rf"need {package}, .*No module named '{module}'.*: pip install 'isthmus\[bench\]'"
    with pytest.raises(MissingPeerError, match=expected):
        require_packages()


def test_what_is_installed_is_named_with_its_version() -> None:
    require_packages()
    assert hasattr(part_of(PYTORCH_OOD, "detector"), "Mahalanobis")
    assert titled(PYTORCH_OOD).startswith("pytorch-ood 0.4")


def test_nothing_of_the_packages_is_imported_with_the_peers(monkeypatch: pytest.MonkeyPatch) -> None:
    imported: list[str] = []
    usual = builtins.__import__

    def watched(name: str, *given: Any, **more: Any) -> Any:
        imported.append(name.partition(".")[0])
        return usual(name, *given, **more)

    monkeypatch.setattr(builtins, "__import__", watched)
    for name in ("art_detectors", "art_networks", "art_squeezing", "ood_peers", "fitting"):
        importlib.reload(importlib.import_module(f"service.bench.peers.{name}"))
    assert "torch" in imported
    assert not {"art", "pytorch_ood"} & set(imported)
