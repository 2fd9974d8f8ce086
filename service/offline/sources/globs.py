"""Patterns of paths: `?`, `*`, `[…]`, and `**` for any number of folders."""

import functools
import glob
import os
import re
from pathlib import Path

from fsspec.utils import glob_translate

from service.errors import InputError
from service.offline.sources.folders import ImageSelection


def is_pattern(text: str) -> bool:
    """Whether a text has a character that stands for others."""
    return glob.has_magic(text)


def split_pattern(text: str) -> tuple[Path, str]:
    """Part a pattern into the absolute folder before the first step that is one, links resolved, and the rest.

    Raises:
        InputError: there is no such folder.
    """
    steps = os.path.abspath(text).split("/")  # noqa: PTH100 (a Path would lose nothing, but resolve nothing either)
    first = next(number for number, step in enumerate(steps) if is_pattern(step))
    folder = Path("/".join(steps[:first]) or "/")
    try:
        return folder.resolve(strict=True), "/".join(steps[first:])
    except (OSError, RuntimeError) as error:
        raise InputError(
            f"{folder} cannot be read ({error}), so nothing fits {text!r}; give a folder before *"
        ) from None


class PatternSelection(ImageSelection):
    """The files that a pattern fits.

    Args:
        pattern: of paths below the folder that is listed.

    Raises:
        InputError: the pattern is none.
    """

    def __init__(self, pattern: str) -> None:
        try:
            self._whole = re.compile(glob_translate(pattern))
            self._steps = [None if step == "**" else re.compile(glob_translate(step)) for step in pattern.split("/")]
        except (ValueError, re.error) as error:
            raise InputError(f"{pattern!r} is no pattern of paths ({error}); ** stands alone between slashes") from None
        self._prefix = functools.lru_cache(maxsize=16)(_joined)

    def enters(self, parts: tuple[str, ...]) -> bool:
        """Whether a file in the folder, or below it, can fit."""
        for part, step in zip(parts, self._steps, strict=False):
            if step is None:
                return True
            if step.match(part) is None:
                return False
        return len(parts) < len(self._steps)

    def covers(self, parts: tuple[str, ...], name: str) -> bool:
        """Whether a file fits."""
        return self._whole.match(self._prefix(parts) + name) is not None


def _joined(parts: tuple[str, ...]) -> str:
    return "/".join((*parts, ""))
