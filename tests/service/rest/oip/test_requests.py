"""Reading requests of the Open Inference Protocol: every length, name, type and shape is held against the others."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from service.engine.work import Priority
from service.errors import InputError, TooLargeError
from service.rest.oip.requests import (
    InputLimits,
    false_positive_rate,
    flag,
    priority,
    read_images,
    read_request,
    timeout_seconds,
)

LIMITS = InputLimits(input_shape=(1, 2, 2), n_images=3)
PIXELS = {"name": "pixels", "shape": [1, 1, 2, 2], "datatype": "FP32"}
VALUES = [0.0, 0.25, 0.5, 1.0]


def read(tensor: dict[str, Any], raw: bytes = b"", **rest: Any) -> tuple[bytes, ...] | Tensor:
    text = json.dumps({"inputs": [tensor], **rest}).encode()
    request, behind = read_request(text + raw, str(len(text)), 32, LIMITS)
    return read_images(request, behind, LIMITS)


def raw_pixels(n_bytes: Any, **changes: Any) -> dict[str, Any]:
    return {**PIXELS, "parameters": {"binary_data_size": n_bytes}, **changes}


def test_pixels_come_flat_nested_and_raw_alike() -> None:
    raw = np.array(VALUES, "<f4").tobytes()
    for images in (
        read({**PIXELS, "data": VALUES}),
        read({**PIXELS, "data": [[[VALUES[:2], VALUES[2:]]]]}),
        read(raw_pixels(16), raw),
    ):
        assert isinstance(images, Tensor)
        assert images.shape == (1, 1, 2, 2)
        assert images.flatten().tolist() == VALUES


def test_bytes_as_pixels_stay_bytes() -> None:
    images = read({**PIXELS, "datatype": "UINT8", "data": [0, 1, 254, 255]})
    assert isinstance(images, Tensor)
    assert images.flatten().tolist() == [0, 1, 254, 255]
    assert str(images.dtype) == "torch.uint8"


def test_files_come_as_base64_and_raw_alike() -> None:
    tensor = {"name": "image", "shape": [2], "datatype": "BYTES"}
    raw = b"\x02\0\0\0hi\0\0\0\0"
    assert read({**tensor, "parameters": {"binary_data_size": len(raw)}}, raw) == (b"hi", b"")
    assert read({**tensor, "data": ["aGk=", ""]}) == (b"hi", b"")
    assert read({**tensor, "data": ["aGk=", ""], "parameters": {"content_type": "base64"}}) == (b"hi", b"")


@pytest.mark.parametrize(
    ("tensor", "raw", "said"),
    [
        ({**PIXELS, "data": VALUES[:3]}, b"", "is 4 elements"),
        ({**PIXELS, "shape": [1, 1, 4], "data": VALUES}, b"", r"shape \[n, 1, 2, 2\]"),
        ({**PIXELS, "shape": [1, 1, 2, -2], "data": VALUES}, b"", "axis"),
        ({**PIXELS, "shape": [0, 1, 2, 2], "data": []}, b"", "axis"),
        ({**PIXELS, "shape": [], "data": VALUES}, b"", "shape"),
        ({**PIXELS, "shape": [1, 1, 2, 2.0], "data": VALUES}, b"", "shape"),
        ({**PIXELS, "shape": [1, 1, 2, True], "data": VALUES}, b"", "shape"),
        ({**PIXELS, "shape": [10**30, 1, 2, 2], "data": VALUES}, b"", "axis"),
        ({**PIXELS, "datatype": "FP64", "data": VALUES}, b"", "FP32 or UINT8"),
        ({**PIXELS, "datatype": "BYTES", "data": ["aGk="]}, b"", "FP32 or UINT8"),
        ({**PIXELS, "datatype": "F32", "data": VALUES}, b"", "data type 'F32'"),
        ({"name": "image", "shape": [1], "datatype": "UINT8", "data": [1]}, b"", "is BYTES"),
        ({"name": "image", "shape": [1, 1], "datatype": "BYTES", "data": ["aGk="]}, b"", r"shape \[n\]"),
        (
            {
                "name": "image",
                "shape": [1],
                "datatype": "BYTES",
                "data": ["aGk="],
                "parameters": {"content_type": "str"},
            },
            b"",
            "base64",
        ),
        ({**PIXELS, "name": "x", "data": VALUES}, b"", "no input 'x'"),
        (PIXELS, b"", "either data or binary_data_size"),
        (raw_pixels(16, data=VALUES), bytes(16), "and not both"),
        ({**PIXELS, "data": VALUES}, b"x", "no tensor claims"),
        (raw_pixels(16), bytes(15), "are 15"),
        (raw_pixels(16), bytes(17), "are 17"),
        (raw_pixels(15), bytes(15), "takes 16 bytes"),
        (raw_pixels(-16), bytes(16), "are 16"),
        (raw_pixels(16.0), bytes(16), "are 16"),
        (raw_pixels("16"), bytes(16), "are 16"),
        (raw_pixels(True), bytes(1), "are 1"),
        (raw_pixels(2**70), bytes(16), "are 16"),
        (raw_pixels(4, datatype="UINT8"), bytes(16), "are 16"),
        ({**PIXELS, "parameters": {"shared_memory_region": "r"}}, b"", "shared memory"),
    ],
)
def test_what_does_not_fit_together_is_refused_by_name(tensor: dict[str, Any], raw: bytes, said: str) -> None:
    with pytest.raises(InputError, match=said):
        read(tensor, raw)


def test_too_many_images_are_refused_before_they_are_read() -> None:
    with pytest.raises(TooLargeError, match="at most 3"):
        read({"name": "image", "shape": [4], "datatype": "BYTES", "data": ["not looked at"]})


@pytest.mark.parametrize("value", [b"[]", b"{}", b"1"])
def test_more_values_than_images_have_are_refused_before_they_are_parsed(value: bytes) -> None:
    body = b'{"inputs": [' + b",".join([value] * 200_000) + b"]}"
    with pytest.raises(TooLargeError, match="more values"):
        read_request(body, None, 32, LIMITS)


def test_more_escapes_than_base64_needs_are_refused_before_they_are_parsed() -> None:
    with pytest.raises(TooLargeError, match="escapes"):
        read_request(b'{"id": "' + b"\\n" * 1_000_001 + b'"}', None, 32, LIMITS)


def test_the_largest_request_has_few_enough_values() -> None:
    limits = InputLimits(input_shape=(1, 300, 300), n_images=3)
    data = [[[[1] * 300] * 300]] * 3
    tensor = {"name": "pixels", "shape": [3, 1, 300, 300], "datatype": "UINT8", "data": data}
    request, raw = read_request(json.dumps({"inputs": [tensor]}).encode(), None, 32, limits)
    assert len(read_images(request, raw, limits)) == 3


@pytest.mark.parametrize("length", ["0", "-1", "1e1", " 2", "99", "", "٣", "9" * 5000, "0x10"])
def test_the_length_of_the_json_lies_within_the_body(length: str) -> None:
    with pytest.raises(InputError, match="Inference-Header-Content-Length"):
        read_request(b'{"inputs": []}', length, 32, LIMITS)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'{"inputs": []}',
        b'{"inputs": {}}',
        json.dumps({"inputs": [PIXELS, PIXELS]}).encode(),
        json.dumps({"inputs": [PIXELS], "id": 5}).encode(),
        json.dumps({"inputs": [PIXELS], "parameters": []}).encode(),
        json.dumps({"inputs": [PIXELS], "outputs": "label"}).encode(),
        json.dumps({"inputs": [PIXELS], "outputs": [{"name": 1}]}).encode(),
        b'{"inputs": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"inputs": [], "inputs": []}',
        b'{"inputs": [NaN]}',
        b'{"inputs": [' + b"9" * 5000 + b"]}",
        b"\xff\xfe{}",
        '{"id": "é"}'.encode("latin-1"),
    ],
)
def test_what_is_not_an_inference_request_is_an_input_error(body: bytes) -> None:
    with pytest.raises(InputError) as refusal:
        read_request(body, None, 32, LIMITS)
    assert len(str(refusal.value)) < 500
    str(refusal.value).encode()


def test_the_timeout_is_in_microseconds_and_none_is_the_servers() -> None:
    assert timeout_seconds({"timeout": 1_500_000}) == 1.5
    assert timeout_seconds({"timeout": 0}) is None
    assert timeout_seconds({}) is None


def test_priorities_are_three_levels() -> None:
    levels = [priority({"priority": level}) for level in (0, 1, 2, 3, 4, 2**64)]
    assert levels == [Priority.NORMAL, Priority.HIGH, Priority.NORMAL, *[Priority.LOW] * 3]
    assert priority({}) is Priority.NORMAL


def test_a_rate_is_a_share() -> None:
    assert false_positive_rate({"false_positive_rate": 0.01}) == 0.01
    assert false_positive_rate({}) is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (name, value)
        for name in ("timeout", "priority", "false_positive_rate", "binary_data_output")
        for value in (-1, 1.5, "1", True, [], 2**64, -(2**64))
        if (name, value) not in [("priority", 2**64), ("binary_data_output", True)]
    ],
)
def test_parameters_of_another_type_or_range_are_refused_by_name(name: str, value: Any) -> None:
    readers: dict[str, Any] = {
        "timeout": timeout_seconds,
        "priority": priority,
        "false_positive_rate": false_positive_rate,
        "binary_data_output": lambda parameters: flag(parameters, name, False),
    }
    with pytest.raises(InputError, match=name):
        readers[name]({name: value})


@given(st.binary(max_size=200), st.none() | st.text(max_size=6) | st.integers(-1, 200).map(str))
def test_no_body_raises_anything_but_an_input_error(body: bytes, length: str | None) -> None:
    try:
        request, raw = read_request(body, length, 32, LIMITS)
        read_images(request, raw, LIMITS)
    except InputError:
        pass


@given(
    st.fixed_dictionaries(
        {
            "name": st.sampled_from(["image", "pixels"]),
            "shape": st.lists(st.integers(-1, 4), max_size=5) | st.just([1, 1, 2, 2]) | st.just([1]),
            "datatype": st.sampled_from(["BYTES", "FP32", "UINT8", "BOOL", "fp32"]),
        },
        optional={
            "data": st.lists(st.integers() | st.text(max_size=4) | st.floats(), max_size=5) | st.just(VALUES),
            "parameters": st.fixed_dictionaries(
                {}, optional={"binary_data_size": st.integers(-1, 20), "content_type": st.just("base64")}
            ),
        },
    ),
    st.binary(max_size=20),
)
def test_no_nearly_right_request_raises_anything_but_an_input_error(tensor: dict[str, Any], raw: bytes) -> None:
    try:
        images = read(tensor, raw)
    except InputError:
        return
    assert len(images) == tensor["shape"][0]
