"""Files and folders that are either whole or absent."""

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def replace_atomically(path: Path) -> Iterator[Path]:
    """Yield a temporary name beside `path`; rename it when the block ends well, remove it when it does not."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def replace_folder_atomically(folder: Path) -> Iterator[Path]:
    """Yield a temporary folder beside `folder`; put it in its place when the block ends well."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}.partial")
    retired = folder.with_name(f".{folder.name}.{os.getpid()}.retired")
    # A process of the same number, as every one in a container is, may have been killed here.
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    try:
        yield temporary
        _exchange(temporary, folder, retired)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _exchange(new: Path, folder: Path, retired: Path) -> None:
    """Put `new` in the place of `folder`, which comes back if that fails."""
    if not folder.exists():
        new.replace(folder)
        return
    shutil.rmtree(retired, ignore_errors=True)
    folder.replace(retired)
    try:
        new.replace(folder)
    except BaseException:
        retired.replace(folder)
        raise
    shutil.rmtree(retired, ignore_errors=True)
