"""JSON from strangers: how deep it goes is known before it is parsed, and what is no JSON is refused."""

import json
import math
import re
from collections import Counter
from typing import Any, NoReturn

import numpy as np

from service.errors import InputError

BRACKETS = b"[]{}"
NOT_BRACKETS = bytes(set(range(256)) - set(BRACKETS))
STEPS = bytes.maketrans(BRACKETS, b"\x01\xff\x01\xff")
"""What a bracket does to the depth, as a signed byte."""

STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)', re.DOTALL)
"""A string, to the end of the text where it has none: a pattern that failed there would try again at each quote."""
BLOCK = 2**20


def parse_json(data: bytes, max_depth: int) -> Any:
    """What a JSON text says.

    Args:
        max_depth: of lists and objects in each other.

    Raises:
        InputError: it is no JSON in UTF-8, or goes too deep, or says a key twice, or holds a number beyond float64.
    """
    if not data:
        raise InputError("expected a JSON body, and it is empty")
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
