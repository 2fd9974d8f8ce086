"""JSON from strangers: how deep it goes and how much it holds is known before it is parsed; what is none is refused."""

import json
import math
import re
from collections import Counter
from typing import Any, NoReturn

import numpy as np

from service.errors import InputError, TooLargeError

MARKS = (b",", b"[", b"{")
"""At least one stands at every value of a JSON text but the first."""

MOST_MARKS = 100_000
"""Far more than images in base64 need. Parsing holds up all other threads, by seconds for what fits into a body."""

MOST_ESCAPES = 1_000_000
"""Some clients escape the slashes of base64, one character in 64."""

BRACKETS = b"[]{}"
NOT_BRACKETS = bytes(set(range(256)) - set(BRACKETS))
STEPS = bytes.maketrans(BRACKETS, b"\x01\xff\x01\xff")
"""What a bracket does to the depth, as a signed byte."""

STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)', re.DOTALL)
"""A string, to the end of the text where it has none: a pattern that failed there would try again at each quote."""
BLOCK = 2**20


def parse_json(data: bytes, max_depth: int, most_marks: int = MOST_MARKS) -> Any:
    """What a JSON text says.

    Args:
        max_depth: of lists and objects in each other.
        most_marks: see `MARKS`; more are not parsed.

    Raises:
        TooLargeError: it holds too many values or escapes.
        InputError: it is no JSON in UTF-8, or goes too deep, or says a key twice, or holds a number beyond float64.
    """
    if not data:
        raise InputError("expected a JSON body, and it is empty")
    if sum(map(data.count, MARKS)) > most_marks or data.count(b"\\") > MOST_ESCAPES:
        raise TooLargeError(
            "the JSON body has far more values or escapes than its images need; send it in another form"
        )
    _check_depth(data, max_depth)
    try:
        return json.loads(
            data.decode("utf-8"),
            object_pairs_hook=_object,
            parse_float=_finite,
            parse_constant=_refuse_constant,
        )
    except InputError:
        raise
    except UnicodeDecodeError as error:
        raise InputError(f"JSON comes in UTF-8, and byte {error.start} of the body is not") from None
    except json.JSONDecodeError as error:
        raise InputError(f"the body is not JSON: {error.msg} at line {error.lineno}, column {error.colno}") from None
    except ValueError:
        # Python refuses to read integers of thousands of digits.
        raise InputError("the JSON body holds a number with too many digits") from None


def _check_depth(data: bytes, max_depth: int) -> None:
    # A nesting needs a bracket each: mostly there are not even so many.
    if data.count(b"[") + data.count(b"{") <= max_depth:
        return
    outside = STRING.sub(b"", data) if b'"' in data else data
    steps = outside.translate(STEPS, NOT_BRACKETS)
    depth = 0
    for start in range(0, len(steps), BLOCK):
        depths = depth + np.cumsum(np.frombuffer(steps[start : start + BLOCK], np.int8), dtype=np.int64)
        if depths.max() > max_depth:
            raise InputError(f"the JSON body goes deeper than {max_depth} lists and objects in each other")
        depth = int(depths[-1])


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        twice = Counter(name for name, _ in pairs).most_common(1)[0][0]
        raise InputError(f"the JSON body says {twice[:100]!r} twice in one object")
    return members


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise InputError(f"{text[:40]} is beyond what a float64 holds")
    return number


def _refuse_constant(name: str) -> NoReturn:
    raise InputError(f"{name} is no JSON")
