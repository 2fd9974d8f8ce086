"""What is sent: images of a folder as requests, with the keys of a file."""

import itertools
import mimetypes
from collections.abc import Sequence
from pathlib import Path

from isthmus_load.errors import UsageError
from isthmus_load.wire import Target, request_bytes

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".ppm", ".avif"})
MOST_FILES, MOST_BYTES = 512, 256 * 2**20
BOUNDARY = "isthmus-load-boundary-1f0c6f1d"


def read_images(folder: Path) -> list[tuple[str, bytes]]:
    """Names and bytes of the first image files below a folder, in order of names: 512 files and 256 MiB at most.

    Raises:
        UsageError: there are none.
    """
    if not folder.is_dir():
        raise UsageError(f"--images {folder}: there is no such folder")
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
    images, n_bytes = [], 0
    for path in files[:MOST_FILES]:
        data = path.read_bytes()
        n_bytes += len(data)
        if images and n_bytes > MOST_BYTES:
            break
        images.append((path.name, data))
    if not images:
        raise UsageError(f"--images {folder}: no image file in it ({', '.join(sorted(SUFFIXES))})")
    return images


def read_keys(file: Path | None) -> list[str | None]:
    """The keys of a file, one a line, `ID:KEY` as the server has them or `KEY` alone; [None] without a file.

    Raises:
        UsageError: there are none in it, or one cannot stand in a header.
    """
    if file is None:
        return [None]
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"--key-file {file} cannot be read: {error}") from error
    entries = [entry for line in lines if not line.lstrip().startswith("#") for entry in line.split(",")]
    keys = [entry.partition(":")[2].strip() or entry.strip() for entry in entries if entry.strip()]
    if not keys or not all(key and key.isascii() and key.isprintable() for key in keys):
        raise UsageError(f"--key-file {file}: expected lines of ID:KEY, in printable ASCII")
    return list(keys)


def detect_requests(
    target: Target, images: Sequence[tuple[str, bytes]], keys: Sequence[str | None], *, bundle: str | None, n: int
) -> list[bytes]:
    """Requests for verdicts, each with the next n images and the next key; as many as there are images and keys."""
    path = f"{target.path}/v1/detect" + (f"?bundle={bundle}" if bundle else "")
    names, key = itertools.cycle(images), itertools.cycle(keys)
    requests = []
    for _ in range(max(len(images), len(keys))):
        body, content_type = _body([next(names) for _ in range(n)])
        requests.append(request_bytes("POST", path, body, content_type, host=target.authority, key=next(key)))
    return requests


def health_request(target: Target, route: str) -> bytes:
    """A question to a health route, `live` or `ready`, which needs no key."""
    return request_bytes("GET", f"{target.path}/v2/health/{route}", host=target.authority)


def _body(images: Sequence[tuple[str, bytes]]) -> tuple[bytes, str]:
    if len(images) == 1:
        return images[0][1], _media_type(images[0][0])
    parts = []
    for index, (name, data) in enumerate(images):
        head = f'Content-Disposition: form-data; name="files"; filename="{index}{Path(name).suffix}"'
        parts.append(f"--{BOUNDARY}\r\n{head}\r\nContent-Type: {_media_type(name)}\r\n\r\n".encode() + data + b"\r\n")
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode(), f"multipart/form-data; boundary={BOUNDARY}"


def _media_type(name: str) -> str:
    guessed = mimetypes.guess_type(name)[0] or ""
    return guessed if guessed.startswith("image/") else "application/octet-stream"
