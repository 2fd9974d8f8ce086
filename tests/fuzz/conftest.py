import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="session")
def fuzzing() -> ModuleType:
    """What the large run is made of; it lies beside this file and is no package."""
    spec = importlib.util.spec_from_file_location("fuzzing", Path(__file__).with_name("fuzzing.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Dataclasses look their module up by its name.
    sys.modules["fuzzing"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def served_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz")


@pytest.fixture(scope="session")
def url(fuzzing: ModuleType, served_folder: Path) -> Iterator[str]:
    with fuzzing.served(served_folder) as url:
        yield url
