"""Places that are not on this machine: which are read, through what, and what their failures mean."""

import datetime
import errno
import functools
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import fsspec

from service.errors import InputError, one_line

EXTRAS = {
    "s3": ("s3", "s3fs"),
    "gs": ("gcs", "gcsfs"),
    "gcs": ("gcs", "gcsfs"),
    "http": ("http", "aiohttp"),
    "https": ("http", "aiohttp"),
    "memory": ("", ""),
}
"""What each protocol needs: an extra of this package, and the library that it installs."""

WEB = frozenset({"http", "https"})

PAUSES = (0.5, 2.0, 5.0)
"""Seconds before a request is tried again; after the last it has failed."""

CONNECT_SECONDS, SILENT_SECONDS, REQUEST_SECONDS = 20, 60, 900

FOR_NOW = frozenset({408, 425, 429})
"""Answers of 4xx that another time may be other ones."""

FORBIDDEN = frozenset({401, 403})

_STAMPS = ("ETag", "etag", "generation", "Content-MD5", "Last-Modified", "LastModified", "updated", "mtime", "created")

Result = TypeVar("Result")


class ForbiddenError(InputError):
    """A server does not let this be read, or not any more."""


class UnreachableError(OSError):
    """The network, or a server, failed again and again; it is not known what there is."""


def checked_url(text: str) -> str:
    """A URL that may be read.

    Raises:
        InputError: its protocol is none of those that are read, or it holds a password or another URL.
    """
    protocol, separator, rest = text.partition("://")
    if not separator or protocol.lower() not in EXTRAS:
        raise InputError(f"{text[:256]!r} has a protocol that is not read; give {', '.join(EXTRAS)}, or file")
    if "::" in text or any(ord(character) < 32 for character in text):
        raise InputError(f"{text[:256]!r} is a chain of URLs, or has control characters; give one plain URL")
    if "@" in rest.split("/", 1)[0]:
        raise InputError(
            "a URL with a password would stand in all that is written; give the plain one, and credentials as the "
            "library of its protocol takes them: through the environment or its files"
        )
    return f"{protocol.lower()}://{rest}"


def protocol_of(url: str) -> str:
    """The part before `://`, in small letters."""
    return url.partition("://")[0].lower()


def shown_name(url: str) -> str:
    """What results call a URL: without what stands behind `?`, which may be a signature, and without a password."""
    if protocol_of(url) in WEB:
        url = url.partition("#")[0].partition("?")[0]
    protocol, separator, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    return f"{protocol}{separator}{host.rpartition('@')[2]}{slash}{path}"


def filesystem_of(url: str) -> Any:
    """What reads a URL.

    Raises:
        InputError: the library that it needs is not installed, or cannot be set up.
    """
    return _filesystem(protocol_of(url))


@functools.cache
def _filesystem(protocol: str) -> Any:
    options: dict[str, Any] = {} if protocol == "memory" else {"use_listings_cache": False}
    if protocol in WEB:
        options["client_kwargs"] = {"timeout": _web_timeout()}
    extra, library = EXTRAS[protocol]
    try:
        return fsspec.filesystem(protocol, skip_instance_cache=True, **options)
    except ImportError as error:
        raise InputError(f"{protocol}:// needs {library}; install it with: pip install 'isthmus[{extra}]'") from error


def _web_timeout() -> Any:
    try:
        import aiohttp  # noqa: PLC0415 (an extra)
    except ImportError as error:
        raise InputError("http:// and https:// need aiohttp; install it with: pip install 'isthmus[http]'") from error
    return aiohttp.ClientTimeout(total=REQUEST_SECONDS, sock_connect=CONNECT_SECONDS, sock_read=SILENT_SECONDS)


def patiently(act: Callable[[], Result], url: str, wait: Callable[[float], object] = time.sleep) -> Result:
    """Ask a server, and ask again where that may help.

    Raises:
        ForbiddenError: it does not permit it.
        InputError: it has no such file, or does not understand.
        UnreachableError: it could not be asked.
    """
    for pause in (*PAUSES, None):
        try:
            return act()
        except (InputError, UnreachableError):
            raise
        except Exception as error:
            refusal = refusal_of(error)
            if refusal is not None:
                raise refusal from error
            if pause is None:
                raise UnreachableError(errno.EIO, f"{shown_name(url)} cannot be read ({one_line(error)})") from error
            wait(pause)
    raise AssertionError


def refusal_of(error: Exception) -> InputError | None:
    """What a failure says of the file; None where it says something of the network or the server."""
    if isinstance(error, FileNotFoundError):
        return InputError("there is no such file")
    if isinstance(error, PermissionError):
        return ForbiddenError("the server does not permit reading it")
    if isinstance(error, IsADirectoryError):
        return InputError("a folder and not a file")
    status = getattr(error, "status", None) or getattr(error, "code", None)
    if isinstance(status, int) and 300 <= status < 500 and status not in FOR_NOW:
        return _answered(status)
    return InputError(f"the URL cannot be used ({one_line(error)})") if isinstance(error, ValueError) else None


def _answered(status: int) -> InputError:
    if status in FORBIDDEN:
        return ForbiddenError(f"the server answers {status}: it does not permit reading")
    return InputError(f"the server answers {status}")


def stamp_of(info: Mapping[str, Any]) -> str:
    """What a server says of a file's version: the most exact thing it says; empty where it says nothing."""
    found = next((info[key] for key in _STAMPS if info.get(key) not in (None, "")), "")
    return str(found.timestamp() if isinstance(found, datetime.datetime) else found)
