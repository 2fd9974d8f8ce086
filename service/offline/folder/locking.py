"""One process at a time writes into the folder of an audit."""

import contextlib
import errno
import fcntl
import logging
import os
import platform
from collections.abc import Iterator
from pathlib import Path

from service.errors import InputError

LOCK_FILE = "audit.lock"

NOT_WRITABLE = frozenset(
    {
        errno.EACCES,
        errno.EPERM,
        errno.EROFS,
        errno.ENOTDIR,
        errno.EEXIST,
        errno.EISDIR,
        errno.ENAMETOOLONG,
        errno.ELOOP,
        errno.ENOENT,
    }
)

WITHOUT_LOCKS = frozenset({errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL})

logger = logging.getLogger(__name__)


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a folder, made if there is none, against other processes; a process that dies lets go of it.

    Raises:
        InputError: another process holds it, or it cannot be made or written.
        OSError: the disk failed.
    """
    descriptor = _opened(folder)
    try:
        _lock(folder, descriptor)
        # Who holds it is said to those who come meanwhile; a full disk need not keep an audit from going on.
        with contextlib.suppress(OSError):
            os.truncate(descriptor, 0)
            os.pwrite(descriptor, f"process {os.getpid()} on {platform.node()}".encode(), 0)
        try:
            yield
        finally:
            with contextlib.suppress(OSError):
                os.truncate(descriptor, 0)
    finally:
        os.close(descriptor)


def _opened(folder: Path) -> int:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644)
        # An existing file may be written where the folder may not be.
        if not os.access(folder, os.W_OK | os.X_OK):
            os.close(descriptor)
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        if error.errno not in NOT_WRITABLE:
            raise
        raise InputError(
            f"results cannot be written to {folder} ({error.strerror}); give --out a folder that may be written"
        ) from error
    return descriptor


def _lock(folder: Path, descriptor: int) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        holder = os.pread(descriptor, 256, 0).decode(errors="replace") or "another process"
        raise InputError(f"{folder} is being written by {holder}; wait for it, or audit into another folder") from error
    except OSError as error:
        if error.errno not in WITHOUT_LOCKS:
            raise
        logger.warning("%s lies where nothing can be locked; take care that one process alone writes there", folder)
