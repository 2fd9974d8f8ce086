"""Whether results can be written, asked before the work and not after it."""

import tempfile
from pathlib import Path

from service.errors import InputError


def require_writable(folder: Path) -> None:
    """Try whether files could be written into a folder, without leaving one; if it is missing, it stays so.

    Raises:
        InputError: it could not.
    """
    candidates = [folder.absolute(), *folder.absolute().parents]
    nearest = next(candidate for candidate in candidates if candidate.exists())
    if not nearest.is_dir():
        raise InputError(f"{folder} cannot be written: {nearest} is a file; name another folder")
    try:
        with tempfile.TemporaryFile(dir=nearest):
            pass
    except OSError as error:
        raise InputError(f"{folder} cannot be written ({nearest}: {error.strerror}); name another folder") from error
