import importlib.util

import pytest

from models.errors import ModelError
from models.onnx_files.packages import require_onnx


def test_what_is_installed_is_enough() -> None:
    require_onnx()


def test_a_missing_package_is_named_with_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "onnx2torch" else find(name))
    with pytest.raises(ModelError, match=r"\(onnx2torch\): pip install 'isthmus\[onnx\]'"):
        require_onnx()
