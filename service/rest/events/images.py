"""The images of an inference request that was logged: of the Open Inference Protocol, or of its version 1."""

import binascii
import itertools
from collections.abc import Sequence
from typing import Any

import torch
from pydantic import ValidationError
from torch import Tensor

from service.errors import InputError, TooLargeError
from service.rest.oip.requests import DATATYPES, IMAGE, PIXELS, InputLimits, read_images
from service.rest.oip.schemas import InferenceRequest
from service.runtime import ServedBundle

INSTANCES = "instances"
ENCODED = ("b64", "image_bytes", "image")
"""Where an instance may hold a file in base64; one in another."""


def limits_of(bundle: ServedBundle, most: int) -> InputLimits:
    """What so many images of a bundle's shape are held against."""
    return InputLimits(input_shape=bundle.detector.classifier.input_shape, n_images=most)


def images_of(data: Any, bundle: ServedBundle, most: int) -> list[bytes] | Tensor:
    """What an inference request shows: encoded files, or pixels of shape (image, channel, height, width).

    Raises:
        InputError: it is no inference request, or none of its inputs are images of this bundle's shape.
        ImageError: pixels lie outside [0, 1].
        TooLargeError: there are too many.
    """
    if not isinstance(data, dict):
        raise InputError("the event's data is no inference request; it is a JSON object with inputs or instances")
    if INSTANCES in data:
        found = _instances(data[INSTANCES], bundle.detector.classifier.input_shape, most)
    else:
        found = _inputs(data.get("inputs"), bundle.detector.classifier.input_shape, most)
    if isinstance(found, Tensor) and found.dtype == torch.float32:
        bundle.detector.check(found)
    return found


def _inputs(inputs: Any, input_shape: tuple[int, int, int], most: int) -> list[bytes] | Tensor:
    if not isinstance(inputs, list) or not all(isinstance(one, dict) for one in inputs):
        raise InputError("the event's inference request has no list of inputs, and no instances either")
    chosen = _chosen(inputs, input_shape)
    try:
        request = InferenceRequest.model_validate({"inputs": [chosen]})
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False, include_context=False)[0]
        raise InputError(f"not an inference request: {'.'.join(map(str, problem['loc']))}: {problem['msg']}") from error
    images = read_images(request, memoryview(b""), InputLimits(input_shape=input_shape, n_images=most))
    return images if isinstance(images, Tensor) else list(images)


def _chosen(inputs: Sequence[dict[str, Any]], input_shape: tuple[int, int, int]) -> dict[str, Any]:
    """The input called `image` or `pixels`; else the only one that can be pixels by its type and shape.

    Raises:
        InputError: there is none, or more than one.
    """
    for name in (IMAGE, PIXELS):
        named = [one for one in inputs if one.get("name") == name]
        if len(named) == 1:
            return named[0]
    datatypes = {datatype.value for datatype in DATATYPES[PIXELS]}
    fitting = [
        one for one in inputs if one.get("datatype") in datatypes and _rest(one.get("shape")) == list(input_shape)
    ]
    if len(fitting) != 1:
        raise InputError(
            f"{len(fitting)} inputs of the event can be images; there is one called {IMAGE!r} or {PIXELS!r}, or one of "
            f"shape {['n', *input_shape]} and type {' or '.join(sorted(datatypes))}"
        )
    return fitting[0] | {"name": PIXELS}


def _rest(shape: Any) -> Any:
    return shape[1:] if isinstance(shape, list) else None


def _instances(instances: Any, input_shape: tuple[int, int, int], most: int) -> list[bytes] | Tensor:
    if not isinstance(instances, list) or not instances:
        raise InputError("the event's instances are no list with anything in it")
    if len(instances) > most:
        raise TooLargeError(f"the event has {len(instances)} instances, and at most {most} are taken")
    if all(isinstance(instance, dict) for instance in instances):
        return [_file(instance, index) for index, instance in enumerate(instances)]
    channels, height, width = input_shape
    flat = _flat(instances, (len(instances), channels, height, width))
    if flat is not None:
        return _pixels(flat, (len(instances), channels, height, width))
    flat = _flat(instances, (len(instances), height, width, channels))
    if flat is None:
        raise InputError(f"the event's instances are neither files in base64 nor pixels of shape {list(input_shape)}")
    return _pixels(flat, (len(instances), height, width, channels)).permute(0, 3, 1, 2).contiguous()


def _file(instance: dict[str, Any], index: int) -> bytes:
    text: Any = instance
    # {"b64": …}, or under another name that is the same or the string itself.
    while isinstance(text, dict):
        text = next((text[name] for name in ENCODED if name in text), None)
    if not isinstance(text, str):
        raise InputError(f"instance {index} of the event holds no image; give it as {{'b64': …}}")
    try:
        return binascii.a2b_base64(text, strict_mode=True)
    except ValueError as error:
        raise InputError(f"instance {index} of the event is not base64 ({error})") from error


def _flat(parts: list[Any], shape: Sequence[int]) -> list[Any] | None:
    """Nested lists in row-major order; None where they are nested otherwise."""
    nested: list[Any] = [parts]
    for length in shape:
        if any(not isinstance(part, list) or len(part) != length for part in nested):
            return None
        nested = list(itertools.chain.from_iterable(nested))
    return nested


def _pixels(flat: list[Any], shape: Sequence[int]) -> Tensor:
    if not set(map(type, flat)) <= {int, float}:
        raise InputError("the event's instances hold something that is no number")
    try:
        return torch.tensor(flat, dtype=torch.float32).reshape(tuple(shape))
    except (OverflowError, RuntimeError) as error:
        raise InputError("the event's instances hold a number that float32 does not") from error
