import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="session")
def fuzzing() -> ModuleType:
    """What the large run is made of; it lies beside this file and is no package."""
    return importlib.import_module("fuzzing")


@pytest.fixture(scope="session")
def served_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz")


@pytest.fixture(scope="session")
def url(fuzzing: ModuleType, served_folder: Path) -> Iterator[str]:
    with fuzzing.served(served_folder) as url:
        yield url
