"""The codec of the Open Inference Protocol: what goes out comes back, and garbage is refused by name."""

import struct
import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from service.errors import InputError
from service.rest.oip.json_tensors import from_base64, from_json, to_json
from service.rest.oip.tensors import (
    DTYPES,
    Datatype,
    NamedTensor,
    count_elements,
    from_binary,
    objects,
    parse_datatype,
    to_binary,
)

SHAPES = arrays.array_shapes(max_dims=4, max_side=4)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=12,
)


@st.composite
def tensors(draw: st.DrawFn) -> NamedTensor:
    datatype = draw(st.sampled_from(Datatype))
    shape = draw(SHAPES)
    if datatype is Datatype.BYTES:
        n_elements = count_elements("x", shape)
        texts = draw(st.lists(st.text(max_size=6), min_size=n_elements, max_size=n_elements))
        values = objects([text.encode() for text in texts]).reshape(shape)
    elif DTYPES[datatype].kind == "f":
        width = 8 * DTYPES[datatype].itemsize
        elements = st.floats(width=width, allow_nan=False, allow_infinity=False)
        values = draw(arrays.arrays(DTYPES[datatype], shape, elements=elements))
    else:
        values = draw(arrays.arrays(DTYPES[datatype], shape))
    return NamedTensor(name="x", datatype=datatype, values=values)


def nested(flat: list[Any], shape: tuple[int, ...]) -> list[Any]:
    """Row-major elements as lists within lists."""
    if len(shape) == 1:
        return flat
    size = len(flat) // shape[0]
    return [nested(flat[start : start + size], shape[1:]) for start in range(0, len(flat), size)]


@given(tensors())
def test_raw_bytes_give_the_tensor_that_they_were_made_from(tensor: NamedTensor) -> None:
    back = from_binary("x", tensor.datatype, tensor.shape, memoryview(to_binary(tensor)))
    assert back.values.dtype == DTYPES[tensor.datatype]
    np.testing.assert_array_equal(back.values, tensor.values)


@given(tensors())
def test_json_gives_the_tensor_that_it_was_made_from_flat_or_nested(tensor: NamedTensor) -> None:
    flat = to_json(tensor)
    for data in (flat, nested(flat, tensor.shape)):
        back = from_json("x", tensor.datatype, tensor.shape, data)
        assert back.values.dtype == DTYPES[tensor.datatype]
        np.testing.assert_array_equal(back.values, tensor.values)


@given(st.sampled_from(Datatype), st.lists(st.integers(-2, 2**40), max_size=9), st.binary(max_size=64))
def test_garbage_bytes_are_refused_as_input_and_nothing_else(datatype: Datatype, shape: list[int], raw: bytes) -> None:
    try:
        tensor = from_binary("x", datatype, shape, memoryview(raw))
    except InputError as error:
        assert "'x'" in str(error)
    else:
        assert to_binary(tensor) == raw


@given(st.sampled_from(Datatype), st.lists(st.integers(-2, 4), max_size=9), st.lists(ANYTHING, max_size=5))
def test_garbage_json_is_refused_as_input_and_nothing_else(
    datatype: Datatype, shape: list[int], data: list[Any]
) -> None:
    try:
        tensor = from_json("x", datatype, shape, data)
    except InputError as error:
        assert "'x'" in str(error)
    else:
        assert tensor.shape == tuple(shape)


@pytest.mark.parametrize("datatype", Datatype)
def test_a_shape_takes_no_memory_before_its_bytes_are_there(datatype: Datatype) -> None:
    shape = (2**31 - 1,) * 8
    tracemalloc.start()
    with pytest.raises(InputError):
        from_binary("x", datatype, shape, memoryview(bytes(64)))
    with pytest.raises(InputError):
        from_json("x", datatype, shape, [1])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100_000


def test_strings_of_no_length_take_a_small_multiple_of_their_bytes() -> None:
    raw = bytes(40_000)
    tracemalloc.start()
    from_binary("x", Datatype.BYTES, [10_000], memoryview(raw))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 6 * len(raw)


@pytest.mark.parametrize(
    ("datatype", "data"),
    [
        ("UINT8", [256]),
        ("UINT8", [-1]),
        ("UINT8", [0.5]),
        ("UINT8", [float("inf")]),
        ("UINT8", [True]),
        ("UINT8", ["1"]),
        ("INT64", [2**63]),
        ("FP32", [1e39]),
        ("FP32", [10**400]),
        ("FP32", [None]),
        ("FP32", ["0.5"]),
        ("FP32", [False]),
        ("FP16", [65520.0]),
        ("BOOL", [1]),
        ("BYTES", [1]),
        ("BYTES", ["\ud800"]),
        ("FP32", [[0.5], [0.5]]),
        ("FP32", [[[0.5]]]),
        ("FP32", [0.5, 0.5]),
        ("FP32", []),
    ],
)
def test_an_element_is_of_its_type_and_within_its_range(datatype: str, data: list[Any]) -> None:
    with pytest.raises(InputError, match="tensor 'x'"):
        from_json("x", Datatype(datatype), [1], data)


def test_whole_floats_are_integers_for_clients_that_know_no_others() -> None:
    assert from_json("x", Datatype.UINT8, [3], [0.0, 255.0, 7]).values.tolist() == [0, 255, 7]


def test_ragged_nesting_with_the_right_number_of_elements_is_refused() -> None:
    with pytest.raises(InputError, match="nested"):
        from_json("x", Datatype.FP32, [2, 2], [[1.0], [1.0, 1.0, 1.0]])


@pytest.mark.parametrize("shape", [[0], [-1], [2, -1], [2**31], [1] * 9])
def test_an_axis_has_a_length(shape: list[int]) -> None:
    with pytest.raises(InputError, match="ax"):
        count_elements("x", shape)


def test_raw_truth_is_zero_or_one() -> None:
    with pytest.raises(InputError, match="other than 0 and 1"):
        from_binary("x", Datatype.BOOL, [1], memoryview(b"\x02"))


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\x01",
        struct.pack("<I", 2) + b"a",
        struct.pack("<I", 2**32 - 1) + b"a",
        struct.pack(">I", 1) + b"a",
        struct.pack("<I", 1) + b"ab",
        struct.pack("<I", 0) + struct.pack("<I", 1) + b"a",
    ],
)
def test_the_lengths_within_bytes_add_up(raw: bytes) -> None:
    with pytest.raises(InputError, match="'x'"):
        from_binary("x", Datatype.BYTES, [1], memoryview(raw))


def test_what_is_not_finite_is_null_in_json_and_stays_itself_in_raw_bytes() -> None:
    tensor = NamedTensor(name="x", datatype=Datatype.FP32, values=np.array([np.nan, np.inf, 0.5], np.float32))
    assert to_json(tensor) == [None, None, 0.5]
    assert struct.unpack("<3f", to_binary(tensor))[1:] == (float("inf"), 0.5)


def test_base64_is_decoded_and_what_is_not_names_its_element() -> None:
    tensor = from_json("x", Datatype.BYTES, [2], ["aGk=", ""])
    assert from_base64(tensor).values.tolist() == [b"hi", b""]
    for wrong in ("aGk", "aG k=", "aGk=\n", "é", "aGk=="):
        with pytest.raises(InputError, match="element 1 of tensor 'x'"):
            from_base64(from_json("x", Datatype.BYTES, [2], ["aGk=", wrong]))


@pytest.mark.parametrize("name", ["BF16", "fp32", "", "FP128", "x" * 5000])
def test_an_unknown_data_type_is_named_shortly(name: str) -> None:
    with pytest.raises(InputError, match="known are BOOL") as refusal:
        parse_datatype("x", name)
    assert len(str(refusal.value)) < 300
