"""Reads the lock files of deploy/locks."""

import dataclasses
import re
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
LOCKS = ROOT / "deploy" / "locks"
IMAGES = ("cpu", "cuda")
"""The locks that images are made from."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Locked:
    """One package of a lock.

    Attributes:
        hashes: SHA-256 of the files that may be installed.
        needed_by: names of locked packages, and "" for what the project itself asks for.
    """

    name: str
    version: str
    hashes: tuple[str, ...]
    needed_by: tuple[str, ...]


def locked(text: str) -> list[Locked]:
    """The packages of a lock file's text, in its order.

    Raises:
        ValueError: a line is none that `uv pip compile` writes.
    """
    packages = []
    for block in re.split(r"\n(?=[A-Za-z0-9])", "\n".join(line for line in text.splitlines() if line[:1] != "#")):
        head, *lines = block.strip("\n").splitlines()
        match = re.fullmatch(r"([a-z0-9.-]+)==(\S+)( \\)?", head)
        if match is None:
            raise ValueError(f"a lock has lines NAME==VERSION with hashes below, not {head!r}")
        hashes = [line.strip().removesuffix(" \\") for line in lines if line.lstrip().startswith("--hash=")]
        reasons = [line.strip().lstrip("# ").removeprefix("via ") for line in lines if line.lstrip().startswith("#")]
        names = {reason if re.fullmatch(r"[a-z0-9-]+", reason) else "" for reason in reasons if reason != "via"}
        packages.append(
            Locked(
                name=match[1],
                version=match[2],
                hashes=tuple(value.removeprefix("--hash=sha256:") for value in hashes),
                needed_by=tuple(sorted(names)),
            )
        )
    return packages


def lock_of(image: str) -> list[Locked]:
    """The packages of an image."""
    return locked((LOCKS / f"{image}.txt").read_text(encoding="utf-8"))
