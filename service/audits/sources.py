"""Folders that audits read: which are allowed, and how a file of them is opened.

A path may change between being looked at and being opened. So files are opened step by step below an allowed folder,
and a step that has become a link is refused; where a link leads is decided when the folder is listed.
"""

import contextlib
import errno
import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from service.audits.file_store import AuditFile
from service.errors import InputError
from service.imagesets.folders import SUFFIXES

FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
# Opening a pipe must not wait for who writes into it.
FILE_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK

OF_THE_FILE = frozenset(
    {errno.ENOENT, errno.EACCES, errno.EPERM, errno.ELOOP, errno.ENOTDIR, errno.EISDIR, errno.ENXIO, errno.ENAMETOOLONG}
)
"""Errors of one file; any other is of the disk or the process, and would spoil all files behind it."""


def is_image_name(name: str) -> bool:
    """Whether a file is an image by its name; hidden ones are not."""
    stem, _, suffix = name.rpartition(".")
    return bool(stem) and not name.startswith(".") and f".{suffix.lower()}" in SUFFIXES


def allowed_folder(text: str, allowed: Sequence[Path]) -> Path:
    """Resolve the links of a folder that a client names.

    Raises:
        InputError: it is not a folder below those allowed; whether anything else is there is not said.
    """
    if not allowed:
        raise InputError("no folder may be audited; name those that may with --audit-folder, or upload an archive")
    refusal = InputError(f"{text[:256]!r} is not below a folder that may be audited; give the absolute path of one")
    if "\0" in text or not Path(text).is_absolute():
        raise refusal
    try:
        folder = Path(text).resolve()
        # Names that are no text can be opened, but neither kept nor sent back.
        str(folder).encode()
        is_folder = folder.is_dir()
    except (OSError, RuntimeError, UnicodeEncodeError):
        raise refusal from None
    if root_of(folder, allowed) is None:
        raise refusal
    if not is_folder:
        raise InputError(f"{text[:256]!r} is not a folder; give the absolute path of one")
    return folder


def root_of(path: Path, roots: Sequence[Path]) -> Path | None:
    """Which of the folders a path lies below, links of the folders resolved; None where it is none."""
    resolved = (root.resolve() for root in roots)
    return next((root for root in resolved if path == root or root in path.parents), None)


def read_file(file: AuditFile, roots: Sequence[Path], n_bytes: int) -> bytes:
    """The bytes of a listed file below one of some folders; one byte more than `n_bytes` at most.

    Raises:
        InputError: it is refused, has gone or changed since it was listed, or may not be read.
        OSError: the disk failed, or the folder itself is not there any more.
    """
    if file.refused is not None:
        raise InputError(file.refused)
    path = Path(os.fsdecode(file.place))
    root = root_of(path, roots)
    if root is None:
        raise InputError("the file is not below a folder that may be audited any more")
    try:
        with opened_below(root, path.relative_to(root).parts, FILE_FLAGS) as descriptor:
            return _unchanged(descriptor, file, n_bytes)
    except OSError as error:
        # Where the folder itself cannot be opened, nothing is known of this file.
        if error.errno not in OF_THE_FILE or not root.is_dir():
            raise
        raise InputError(f"the file cannot be read ({error.strerror})") from error


def _unchanged(descriptor: int, file: AuditFile, n_bytes: int) -> bytes:
    data = b""
    if _is_as_listed(descriptor, file):
        with open(descriptor, "rb", buffering=0, closefd=False) as opened:
            data = opened.read(n_bytes + 1) or b""
        if _is_as_listed(descriptor, file):
            return data
    raise InputError("the file changed after the audit began; audit it again")


def _is_as_listed(descriptor: int, file: AuditFile) -> bool:
    status = os.fstat(descriptor)
    return stat.S_ISREG(status.st_mode) and status.st_size == file.size and status.st_mtime_ns == file.changed_ns


@contextlib.contextmanager
def opened_below(root: Path, parts: Sequence[str], flags: int) -> Iterator[int]:
    """A file or folder below a folder, no step of the way being a link."""
    descriptor = os.open(root, FOLDER_FLAGS)
    try:
        for position, part in enumerate(parts, start=1):
            inner = os.open(part, flags if position == len(parts) else FOLDER_FLAGS, dir_fd=descriptor)
            os.close(descriptor)
            descriptor = inner
        yield descriptor
    finally:
        os.close(descriptor)


def path_text(parts: Sequence[str]) -> str:
    """A path as text; bytes of names that are no text are written as escapes."""
    return os.fsencode("/".join(parts)).decode(errors="backslashreplace")
