"""Names of numbered files, written as one: `shard-{0000..0099}.tar`, `{train,test}.tar`."""

import itertools
import re
from collections.abc import Sequence

from service.errors import InputError

MOST_NAMES = 1_000_000

_BRACES = re.compile(r"\{([^{}]*)\}")
_RANGE = re.compile(r"(\d{1,18})\.\.(\d{1,18})")


def has_braces(text: str) -> bool:
    """Whether a text stands for several names."""
    return any(_is_choice(inner) for inner in _BRACES.findall(text))


def expand_braces(text: str) -> list[str]:
    """All names that a text stands for, the last braces changing fastest; a text without any stands for itself.

    Raises:
        InputError: they are more than a million, or a range runs backwards.
    """
    pieces: list[Sequence[str]] = []
    end = n_names = 0
    for found in _BRACES.finditer(text):
        if not _is_choice(found[1]):
            continue
        choices = _choices(found[1], text)
        n_names = max(1, n_names) * len(choices)
        if n_names > MOST_NAMES:
            raise InputError(f"{text[:256]!r} stands for more than {MOST_NAMES} files; name fewer, or their folder")
        pieces += [[text[end : found.start()]], choices]
        end = found.end()
    return ["".join(parts) for parts in itertools.product(*pieces, [text[end:]])]


def _is_choice(inner: str) -> bool:
    return "," in inner or _RANGE.fullmatch(inner) is not None


def _choices(inner: str, text: str) -> Sequence[str]:
    found = _RANGE.fullmatch(inner)
    if found is None:
        return inner.split(",")
    first, last = int(found[1]), int(found[2])
    if not first <= last < first + MOST_NAMES:
        raise InputError(
            f"{text[:256]!r} has a range from {first} to {last}; give one that rises, by less than {MOST_NAMES}"
        )
    # As shells do: zeros before one of the ends make all names as long as the longer one.
    is_padded = any(len(end) > 1 and end.startswith("0") for end in found.groups())
    width = max(len(found[1]), len(found[2])) if is_padded else 0
    return [f"{number:0{width}d}" for number in range(first, last + 1)]
