"""What a request of the Open Inference Protocol asks: its images, its outputs, and how they are to be judged."""

import dataclasses
import math
import re
from collections.abc import Mapping
from typing import Any, TypeVar

import torch
from pydantic import ValidationError
from torch import Tensor

from service.engine.work import Priority
from service.errors import InputError, TooLargeError
from service.rest.guards.json_body import MOST_MARKS, parse_json
from service.rest.oip.json_tensors import from_base64, from_json
from service.rest.oip.schemas import InferenceRequest, Parameters, RequestInput
from service.rest.oip.tensors import Datatype, NamedTensor, count_elements, from_binary, parse_datatype

IMAGE, PIXELS = "image", "pixels"
DATATYPES = {IMAGE: (Datatype.BYTES,), PIXELS: (Datatype.FP32, Datatype.UINT8)}
"""The inputs and the data types that each is taken in."""

MICROSECONDS = 1_000_000
LONGEST_TIMEOUT = 2**63

T = TypeVar("T")


@dataclasses.dataclass(frozen=True, kw_only=True)
class InputLimits:
    """What the images of a request are held against.

    Attributes:
        input_shape: (channel, height, width) of `pixels`.
        n_images: most images of one request.
    """

    input_shape: tuple[int, int, int]
    n_images: int

    @property
    def n_marks(self) -> int:
        """What a request of so many images is written with at most: each pixel a comma and a list on three axes."""
        return MOST_MARKS + 4 * self.n_images * math.prod(self.input_shape)


def read_request(
    body: bytes, header_length: str | None, max_depth: int, limits: InputLimits
) -> tuple[InferenceRequest, memoryview]:
    """Take a body apart into its JSON and the raw bytes behind it.

    Args:
        header_length: `Inference-Header-Content-Length`, the length of the JSON; None where all of it is JSON.

    Raises:
        InputError: the length is none or beyond the body, or the JSON is not an inference request.
        TooLargeError: the JSON has more values than the images of a request.
    """
    end = len(body) if header_length is None else _header_length(header_length, len(body))
    try:
        request = InferenceRequest.model_validate(parse_json(body[:end], max_depth, limits.n_marks))
    except ValidationError as error:
        raise InputError(f"not an inference request: {_first_line(error)}") from None
    return request, memoryview(body)[end:]


def read_images(request: InferenceRequest, raw: memoryview, limits: InputLimits) -> tuple[bytes, ...] | Tensor:
    """The images of a request: encoded files, or pixels of shape (image, channel, height, width), uint8 or float32.

    Raises:
        InputError: the input has another name, type, shape or length than it may, or raw bytes are left over.
        TooLargeError: more images than one request may have.
    """
    [tensor] = request.inputs
    _check_input(tensor, limits)
    parameters = tensor.parameters or {}
    if "shared_memory_region" in parameters:
        raise InputError(f"tensor {tensor.name!r} lies in shared memory, which is not served; send its data")
    named = _read_tensor(tensor, parameters, raw)
    if tensor.name == IMAGE:
        return tuple(named.values.tolist())
    return torch.from_numpy(named.values.astype(named.values.dtype.newbyteorder("="), copy=False))


def timeout_seconds(parameters: Parameters) -> float | None:
    """`timeout` is in microseconds; 0 and none at all take the server's own."""
    microseconds = _number(parameters, "timeout", int)
    if microseconds is None:
        return None
    if not 0 <= microseconds < LONGEST_TIMEOUT:
        raise InputError(f"timeout is in microseconds, from 0 to {LONGEST_TIMEOUT - 1}; got {microseconds}")
    return microseconds / MICROSECONDS or None


def priority(parameters: Parameters) -> Priority:
    """1 is the highest; 0 and none at all take the one in the middle, and from 3 on all are low."""
    level = _number(parameters, "priority", int)
    if level is None or level == 0:
        return Priority.NORMAL
    if level < 0:
        raise InputError(f"priority is 0 for the default or a level from 1, the highest, on; got {level}")
    return Priority(min(level, Priority.LOW))


def false_positive_rate(parameters: Parameters) -> float | None:
    """The rate that a request asks for; None takes the server's."""
    rate = _number(parameters, "false_positive_rate", float)
    if rate is not None and not 0 < rate < 1:
        raise InputError(f"false_positive_rate is a share between 0 and 1; got {rate}")
    return rate


def flag(parameters: Mapping[str, Any], name: str, default: bool) -> bool:
    """A parameter that is true or false.

    Raises:
        InputError: it is neither.
    """
    value = parameters.get(name, default)
    if not isinstance(value, bool):
        raise InputError(f"the parameter {name} is true or false; got something else")
    return value


def _header_length(text: str, n_bytes: int) -> int:
    if not re.fullmatch(r"[0-9]{1,12}", text) or not 0 < int(text) <= n_bytes:
        raise InputError(
            f"Inference-Header-Content-Length is the length of the JSON within the body of {n_bytes} bytes; "
            f"got {text[:32]!r}"
        )
    return int(text)


def _check_input(tensor: RequestInput, limits: InputLimits) -> None:
    if tensor.name not in DATATYPES:
        raise InputError(f"there is no input {tensor.name[:64]!r}; give {IMAGE!r} or {PIXELS!r}")
    allowed = DATATYPES[tensor.name]
    if parse_datatype(tensor.name, tensor.datatype) not in allowed:
        names = " or ".join(datatype.value for datatype in allowed)
        raise InputError(f"tensor {tensor.name!r} is {names}; got {tensor.datatype}")
    count_elements(tensor.name, tensor.shape)
    rest = () if tensor.name == IMAGE else limits.input_shape
    if not tensor.shape or tuple(tensor.shape[1:]) != rest:
        expected = ", ".join(["n", *map(str, rest)])
        raise InputError(f"tensor {tensor.name!r} has the shape [{expected}]; got {tensor.shape}")
    if tensor.shape[0] > limits.n_images:
        raise TooLargeError(
            f"tensor {tensor.name!r} holds {tensor.shape[0]} images; at most {limits.n_images} go into one request"
        )


def _read_tensor(tensor: RequestInput, parameters: Parameters, raw: memoryview) -> NamedTensor:
    datatype = Datatype(tensor.datatype)
    n_bytes = parameters.get("binary_data_size")
    if (n_bytes is None) == (tensor.data is None):
        raise InputError(f"tensor {tensor.name!r} needs either data or binary_data_size, and not both")
    if n_bytes is None:
        if len(raw):
            raise InputError(f"{len(raw)} bytes follow the JSON, and no tensor claims them by binary_data_size")
        named = from_json(tensor.name, datatype, tensor.shape, tensor.data or ())
        return from_base64(named) if _is_base64(tensor.name, parameters) else named
    if type(n_bytes) is not int or n_bytes != len(raw):
        raise InputError(
            f"binary_data_size of tensor {tensor.name!r} is the number of bytes behind the JSON, which are {len(raw)}"
        )
    return from_binary(tensor.name, datatype, tensor.shape, raw)


def _is_base64(name: str, parameters: Parameters) -> bool:
    """No image file is text, so a string can be nothing but base64, whether the request says so or not."""
    if name != IMAGE:
        return False
    if parameters.get("content_type", "base64") != "base64":
        raise InputError(f"the content_type of tensor {name!r} in JSON is base64; no other is taken")
    return True


def _number(parameters: Parameters, name: str, kind: type[T]) -> T | None:
    value = parameters.get(name)
    if value is None:
        return None
    if kind is float and type(value) is int and abs(value) <= 1:
        value = float(value)
    if type(value) is not kind:
        raise InputError(f"the parameter {name} is {'a whole number' if kind is int else 'a number'}; got another type")
    return value


def _first_line(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    where = ".".join(str(part) for part in first["loc"])[:100]
    return f"{where!r}: {first['msg']}" if where else first["msg"]
