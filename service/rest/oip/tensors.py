"""Tensors of the Open Inference Protocol and their raw bytes; knows neither HTTP nor models.

Every function here and in `oip_json` is pure. What is wrong raises InputError naming the tensor, before memory is
taken for what a shape merely announces: nothing is larger than a small multiple of the bytes that it was made from.

Source: https://kserve.github.io/website/docs/concepts/architecture/data-plane/v2-protocol (data types, shapes) and
https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_binary_data.md (raw bytes).
"""

import dataclasses
import enum
import math
import struct
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.errors import InputError

MOST_AXES = 8
LONGEST_AXIS = 2**31 - 1


class Datatype(enum.Enum):
    """The protocol's data types that have one JSON form; BF16 has none and is not among them."""

    BOOL = "BOOL"
    UINT8 = "UINT8"
    UINT16 = "UINT16"
    UINT32 = "UINT32"
    UINT64 = "UINT64"
    INT8 = "INT8"
    INT16 = "INT16"
    INT32 = "INT32"
    INT64 = "INT64"
    FP16 = "FP16"
    FP32 = "FP32"
    FP64 = "FP64"
    BYTES = "BYTES"


DTYPES: dict[Datatype, np.dtype[Any]] = {
    Datatype.BOOL: np.dtype("?"),
    Datatype.UINT8: np.dtype("u1"),
    Datatype.UINT16: np.dtype("<u2"),
    Datatype.UINT32: np.dtype("<u4"),
    Datatype.UINT64: np.dtype("<u8"),
    Datatype.INT8: np.dtype("i1"),
    Datatype.INT16: np.dtype("<i2"),
    Datatype.INT32: np.dtype("<i4"),
    Datatype.INT64: np.dtype("<i8"),
    Datatype.FP16: np.dtype("<f2"),
    Datatype.FP32: np.dtype("<f4"),
    Datatype.FP64: np.dtype("<f8"),
    Datatype.BYTES: np.dtype(object),
}
"""How numpy holds each; little endian as the extension says, whatever the machine."""

LENGTH = struct.Struct("<I")
"""In front of each element of BYTES."""


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class NamedTensor:
    """A tensor with the name it has in the protocol.

    Attributes:
        values: of the shape announced, and of the data type's dtype in `DTYPES`; elements of BYTES are `bytes`.
    """

    name: str
    datatype: Datatype
    values: NDArray[Any]

    @property
    def shape(self) -> tuple[int, ...]:
        return self.values.shape


def parse_datatype(name: str, datatype: str) -> Datatype:
    """Look a data type up.

    Raises:
        InputError: it is not one of the protocol's, or is BF16.
    """
    try:
        return Datatype(datatype)
    except ValueError:
        known = ", ".join(known.value for known in Datatype)
        raise InputError(f"tensor {name!r} has the data type {datatype[:32]!r}; known are {known}") from None


def count_elements(name: str, shape: Sequence[int]) -> int:
    """How many elements a shape announces; computed without taking memory for them.

    Raises:
        InputError: more than eight axes, or one that is shorter than 1 or longer than 2³¹ − 1.
    """
    if len(shape) > MOST_AXES:
        raise InputError(f"tensor {name!r} has {len(shape)} axes; at most {MOST_AXES} are taken")
    for length in shape:
        if not 1 <= length <= LONGEST_AXIS:
            raise InputError(f"tensor {name!r} has an axis that is not between 1 and {LONGEST_AXIS} long")
    return math.prod(shape)


def objects(elements: list[bytes]) -> NDArray[Any]:
    """Elements of BYTES as an array."""
    values = np.empty(len(elements), dtype=object)
    values[:] = elements
    return values


def from_binary(name: str, datatype: Datatype, shape: Sequence[int], raw: memoryview) -> NamedTensor:
    """Read a tensor's part of the bytes behind the JSON; the values are a copy.

    Raises:
        InputError: the shape and the data type need another number of bytes, or the lengths within BYTES do not add up.
    """
    n_elements = count_elements(name, shape)
    if datatype is Datatype.BYTES:
        values = objects(_split(name, n_elements, raw))
    else:
        needed = n_elements * DTYPES[datatype].itemsize
        if len(raw) != needed:
            raise InputError(
                f"tensor {name!r} of type {datatype.value} and shape {list(shape)} takes {needed} bytes; "
                f"{len(raw)} came"
            )
        if datatype is Datatype.BOOL and not set(raw) <= {0, 1}:
            raise InputError(f"tensor {name!r} is BOOL, and has bytes other than 0 and 1")
        values = np.frombuffer(raw, dtype=DTYPES[datatype]).copy()
    return NamedTensor(name=name, datatype=datatype, values=values.reshape(tuple(shape)))


def to_binary(tensor: NamedTensor) -> bytes:
    """The raw bytes, little endian; BYTES each with their length in front."""
    if tensor.datatype is Datatype.BYTES:
        return b"".join(LENGTH.pack(len(element)) + element for element in tensor.values.flat)
    return tensor.values.astype(DTYPES[tensor.datatype]).tobytes()


def _split(name: str, n_elements: int, raw: memoryview) -> list[bytes]:
    if n_elements * LENGTH.size > len(raw):
        raise InputError(
            f"tensor {name!r} has {n_elements} elements, whose lengths alone take {n_elements * LENGTH.size} bytes; "
            f"{len(raw)} came"
        )
    elements, offset = [], 0
    for index in range(n_elements):
        start = offset + LENGTH.size
        offset = start + LENGTH.unpack_from(raw, offset)[0] if start <= len(raw) else start
        if offset > len(raw):
            raise InputError(f"element {index} of tensor {name!r} ends behind the {len(raw)} bytes that came")
        elements.append(bytes(raw[start:offset]))
    if offset != len(raw):
        raise InputError(f"tensor {name!r} has {len(raw) - offset} bytes behind its last element")
    return elements
