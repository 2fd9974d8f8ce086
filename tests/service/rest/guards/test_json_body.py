import contextlib
import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.errors import InputError, TooLargeError
from service.rest.guards.json_body import parse_json

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


def depth_of(value):
    if isinstance(value, list | dict):
        inner = value.values() if isinstance(value, dict) else value
        return 1 + max((depth_of(one) for one in inner), default=0)
    return 0


@given(VALUES, st.booleans())
def test_what_is_json_is_read_as_it_is_and_its_depth_is_known_exactly(value, escaped):
    data = json.dumps(value, ensure_ascii=escaped).encode()
    depth = depth_of(value)
    assert parse_json(data, depth) == value
    if depth:
        with pytest.raises(InputError, match="deeper"):
            parse_json(data, depth - 1)


@pytest.mark.parametrize("unit", [b"0,", b"[],", b"{},", b'"\\n",'])
def test_what_only_keeps_the_parser_busy_is_not_parsed(unit, monkeypatch):
    few, many = (b"[" + unit * n_units + b"0]" for n_units in (10_000, 1_000_001))
    assert len(parse_json(few, 5)) == 10_001
    with monkeypatch.context() as unparsed, pytest.raises(TooLargeError):
        unparsed.setattr("service.rest.guards.json_body.json.loads", None)
        parse_json(many, 5)
    assert len(parse_json(b"[0,0,0]", 5, most_marks=3)) == 3
    with pytest.raises(TooLargeError):
        parse_json(b"[0,0,0]", 5, most_marks=2)


@given(st.binary(max_size=60) | st.text('[]{}"\\,:0eE-+.1 \n', max_size=60).map(str.encode))
def test_garbage_is_an_input_error_or_what_json_says_it_is(data):
    try:
        value = parse_json(data, 5)
    except InputError:
        return
    assert value == json.loads(data)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b" ",
        b"{",
        b"[1,]",
        b"'a'",
        b"\xef\xbb\xbf1",
        "[1]".encode("utf-16"),
        "[1]".encode("utf-32-le"),
        b'"\xff"',
        b'"\xed\xa0\x80"',
        b"NaN",
        b"[Infinity]",
        b"-Infinity",
        b"1e999",
        b"-1e999",
        b"9" * 5000,
        b'{"a": 1, "a": 1}',
        b'[{"b": {"a": 1, "x": 2, "a": 3}}]',
        b"1 2",
        b'"\x00"',
        b'"\n"',
    ],
)
def test_what_is_not_json_is_refused(data):
    with pytest.raises(InputError):
        parse_json(data, 32)


@pytest.mark.parametrize("data", [b"[" * 10**5, b"[" * 33, b'{"a":' * 33, b'"a[[[\\"" ' + b"[" * 33, b'["\\\\",' * 33])
def test_depth_is_refused_before_anything_is_parsed(data):
    began = time.process_time()
    with pytest.raises(InputError, match="deeper than 32"):
        parse_json(data, 32)
    assert time.process_time() - began < 1.0


def test_brackets_in_a_string_are_no_depth():
    text = '[[{"' * 50
    assert parse_json(json.dumps({"a": text, "b": [text]}).encode(), 2) == {"a": text, "b": [text]}


@pytest.mark.parametrize(
    "data",
    [
        b"[" + b",".join([b"[]"] * 300_000) + b"]",
        b"{" + b",".join(b'"%d":0' % number for number in range(200_000)) + b',"199999":0}',
        b'"' + b"\\" * 10**6,
        b'"' * 10**6,
        b'["' + b'\\"' * 10**6 + b"[" * 40,
        b"[" * 40 + b'"' + b'\\"' * 10**6,
        b"[" * 40 + b'"' + b'\\"' * 10**6 + b"\\",
        b'["' + b'a","' * 200_000 + b'"' + b"[" * 40,
    ],
    ids=[
        "many lists",
        "a late twin",
        "escapes without end",
        "quotes",
        "open end",
        "open end behind",
        "half an escape",
        "many strings",
    ],
)
def test_no_text_takes_more_than_its_length(data):
    began = time.process_time()
    with contextlib.suppress(InputError):
        parse_json(data, 32)
    assert time.process_time() - began < 2.0
