"""The Dockerfile, parsed, what its build sees of this tree, and whoever builds it."""

import os
import shutil
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from engine_stand_in.building import Builder
from engine_stand_in.dockerfiles import Dockerfile, in_context, parsed

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="session")
def context(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the build sees of this tree."""
    folder = tmp_path_factory.mktemp("context")
    ignore = (ROOT / ".dockerignore").read_text(encoding="utf-8")
    for parent, folders, files in os.walk(ROOT):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for file in files:
            path = Path(parent, file).relative_to(ROOT)
            if in_context(ignore, path.as_posix()):
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / path, folder / path)
    return folder


@pytest.fixture(scope="session")
def builder(dockerfile: Dockerfile, context: Path, tmp_path_factory: pytest.TempPathFactory) -> Builder:
    """Builds the CPU image. PyTorch's index is not asked where pip finds files in a folder."""
    arguments = {"ACCELERATOR": "cpu"}
    if os.environ.get("PIP_FIND_LINKS"):
        arguments["TORCH_INDEX"] = "https://pypi.org/simple"
    return Builder(dockerfile, tmp_path_factory.mktemp("layers"), context, arguments)


@pytest.fixture(scope="session")
def dockerfile() -> Dockerfile:
    """The image's Dockerfile."""
    return parsed((ROOT / "Dockerfile").read_text(encoding="utf-8"))
