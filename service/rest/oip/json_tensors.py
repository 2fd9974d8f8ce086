"""The JSON form of the protocol's tensors."""

import base64
import binascii
import dataclasses
import itertools
import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.errors import InputError
from service.rest.oip.tensors import DTYPES, Datatype, NamedTensor, count_elements, objects


def from_json(name: str, datatype: Datatype, shape: Sequence[int], data: Sequence[Any]) -> NamedTensor:
    """Read the `data` of a tensor: flat in row-major order, or nested as its shape says.

    Floats that are whole are taken for integers, since some clients know no other numbers.

    Raises:
        InputError: another number of elements, another nesting, or elements of another type or out of range.
    """
    flat = _flattened(name, tuple(shape), count_elements(name, shape), data)
    if datatype is Datatype.BYTES:
        values = objects(_texts(name, flat))
    elif datatype is Datatype.BOOL:
        values = _booleans(name, flat)
    elif DTYPES[datatype].kind == "f":
        values = _floats(name, datatype, flat)
    else:
        values = _integers(name, datatype, flat)
    return NamedTensor(name=name, datatype=datatype, values=values.reshape(tuple(shape)))


def from_base64(tensor: NamedTensor) -> NamedTensor:
    """Decode elements that are base64 text, as JSON carries bytes.

    Raises:
        InputError: one of them is not base64; says which.
    """
    decoded = []
    for index, text in enumerate(tensor.values.flat):
        try:
            decoded.append(base64.b64decode(text, validate=True))
        except binascii.Error as error:
            raise InputError(f"element {index} of tensor {tensor.name!r} is not base64 ({error})") from error
    return dataclasses.replace(tensor, values=objects(decoded).reshape(tensor.shape))


def to_json(tensor: NamedTensor) -> list[Any]:
    """The elements in row-major order. What is not finite becomes null, BYTES become text where they are UTF-8."""
    flat = tensor.values.reshape(-1)
    if tensor.datatype is Datatype.BYTES:
        return [element.decode(errors="backslashreplace") for element in flat]
    if flat.dtype.kind == "f":
        return [value if math.isfinite(value) else None for value in flat.tolist()]
    return list(flat.tolist())


def _flattened(name: str, shape: tuple[int, ...], n_elements: int, data: Sequence[Any]) -> list[Any]:
    if list not in set(map(type, data)):
        parts = list(data)
        if len(parts) != n_elements:
            raise InputError(
                f"tensor {name!r} has the shape {list(shape)}, which is {n_elements} elements; its data has "
                f"{len(parts)}"
            )
        return parts
    parts = [data]
    for length in shape:
        if any(not isinstance(part, list) or len(part) != length for part in parts):
            raise InputError(f"the data of tensor {name!r} is not nested as its shape {list(shape)} says")
        parts = list(itertools.chain.from_iterable(parts))
    return parts


def _texts(name: str, flat: list[Any]) -> list[bytes]:
    if not set(map(type, flat)) <= {str}:
        raise InputError(f"tensor {name!r} is BYTES, whose elements are strings in JSON; others came")
    try:
        return [text.encode() for text in flat]
    except UnicodeEncodeError as error:
        raise InputError(f"tensor {name!r} has a string with half of a surrogate pair") from error


def _booleans(name: str, flat: list[Any]) -> NDArray[Any]:
    if not set(map(type, flat)) <= {bool}:
        raise InputError(f"tensor {name!r} is BOOL, whose elements are true and false in JSON; others came")
    return np.array(flat, dtype=DTYPES[Datatype.BOOL])


def _floats(name: str, datatype: Datatype, flat: list[Any]) -> NDArray[Any]:
    if not set(map(type, flat)) <= {int, float}:
        raise InputError(f"tensor {name!r} is {datatype.value}, whose elements are numbers in JSON; others came")
    try:
        with np.errstate(over="ignore"):
            values = np.array(flat, dtype=np.float64).astype(DTYPES[datatype])
    except OverflowError:
        values = np.array([math.inf])
    if not np.isfinite(values).all():
        raise InputError(f"tensor {name!r} has a number that {datatype.value} does not hold")
    return values


def _integers(name: str, datatype: Datatype, flat: list[Any]) -> NDArray[Any]:
    types = set(map(type, flat))
    if not types <= {int, float} or (float in types and not all(float(value).is_integer() for value in _whole(flat))):
        raise InputError(f"tensor {name!r} is {datatype.value}, whose elements are whole numbers in JSON; others came")
    whole = [int(value) for value in flat] if float in types else flat
    limits = np.iinfo(DTYPES[datatype])
    if min(whole) < limits.min or max(whole) > limits.max:
        raise InputError(f"tensor {name!r} is {datatype.value}, from {limits.min} to {limits.max}; others came")
    return np.array(whole, dtype=DTYPES[datatype])


def _whole(flat: list[Any]) -> Iterable[float]:
    """The floats among numbers; integers may be larger than any float."""
    return (value for value in flat if isinstance(value, float))
