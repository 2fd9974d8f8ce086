"""Requests that are good HTTP and no good request: each says what is wrong with it, and none is a mistake of ours."""

import json
import struct
from typing import Any

import httpx
import pytest

PIXELS = {"name": "pixels", "shape": [1, 1, 8, 8], "datatype": "UINT8"}
ZEROS = [0] * 64
FILE = struct.pack("<I", 4) + b"\x89PNG"


def raw(tensor: dict[str, Any], n_bytes: Any, **rest: Any) -> dict[str, Any]:
    return {"inputs": [{**tensor, "parameters": {"binary_data_size": n_bytes}}], **rest}


def image(**changes: Any) -> dict[str, Any]:
    return {"name": "image", "shape": [1], "datatype": "BYTES", **changes}


def pixels(**changes: Any) -> dict[str, Any]:
    return {"inputs": [{**PIXELS, "data": ZEROS, **changes}]}


RAW = {
    "data longer than it says": (raw(PIXELS, 63), bytes(64)),
    "data shorter than it says": (raw(PIXELS, 65), bytes(64)),
    "a negative length": (raw(PIXELS, -64), bytes(64)),
    "a length beyond 64 bits": (raw(PIXELS, 2**64 + 64), bytes(64)),
    "a length in words": (raw(PIXELS, "64"), bytes(64)),
    "a fraction of a length": (raw(PIXELS, 64.5), bytes(64)),
    "another length than the shape's": (raw(PIXELS, 32), bytes(32)),
    "another type than the length's": (raw({**PIXELS, "datatype": "FP32"}, 64), bytes(64)),
    "no length at all": ({"inputs": [PIXELS]}, bytes(64)),
    "a length and data": ({"inputs": [{**PIXELS, "data": ZEROS, "parameters": {"binary_data_size": 64}}]}, bytes(64)),
    "bytes that nobody claims": (pixels(), bytes(64)),
    "an element beyond its end": (raw(image(), 8), struct.pack("<I", 5) + b"\x89PNG"),
    "an element of 4 GiB": (raw(image(), 8), struct.pack("<I", 2**32 - 1) + b"\x89PNG"),
    "an element in big endian": (raw(image(), 8), struct.pack(">I", 4) + b"\x89PNG"),
    "half a length": (raw(image(), 2), b"\x04\0"),
    "bytes behind the last element": (raw(image(), 9), FILE + b"x"),
    "more elements than there are": (raw(image(shape=[2]), 8), FILE),
    "an element that is no image": (raw(image(), 8), FILE),
    "an element that is empty": (raw(image(), 4), bytes(4)),
}

TEXTS: dict[str, Any] = {
    "a negative axis": pixels(shape=[-1, 1, 8, 8]),
    "two negative axes": pixels(shape=[-1, -1, 8, 8]),
    "no image": pixels(shape=[0, 1, 8, 8], data=[]),
    "a product that overflows to 64": pixels(shape=[2**58 + 1, 1, 8, 8]),
    "a product that overflows to 0": pixels(shape=[2**32, 2**32, 8, 8]),
    "an axis beyond 64 bits": pixels(shape=[10**30, 1, 8, 8]),
    "many axes": pixels(shape=[1] * 10_000),
    "axes in words": pixels(shape=["1", "1", "8", "8"]),
    "axes that are true": pixels(shape=[True, True, 8, 8]),
    "no shape": pixels(shape=None),
    "words for numbers": pixels(data=["0"] * 64),
    "truth for numbers": pixels(data=[False] * 64),
    "numbers out of range": pixels(data=[256] * 64),
    "fractions for bytes": pixels(data=[0.5] * 64),
    "pixels out of range": pixels(datatype="FP32", data=[2.0] * 64),
    "numbers beyond the type": pixels(datatype="FP32", data=[1e300] * 64),
    "another type": pixels(datatype="FP64"),
    "no type": pixels(datatype=7),
    "an unknown type": pixels(datatype="FP32\0"),
    "files as numbers": {"inputs": [image(datatype="UINT8", data=[1])]},
    "files as objects": {"inputs": [image(data=[{"b64": "aGk="}])]},
    "a file that is no base64": {"inputs": [image(data=["\ud800"])]},
    "ragged rows": pixels(data=[[0] * 63, [0]]),
    "rows in rows": pixels(data=[[[[[0]]]]] * 64),
    "an unknown input": pixels(name="image\0"),
    "two inputs": {"inputs": [pixels()["inputs"][0]] * 2},
    "the same output twice": {**pixels(), "outputs": [{"name": "label"}, {"name": "label"}]},
    "an unknown output": {**pixels(), "outputs": [{"name": "\ud800"}]},
    "an output without a name": {**pixels(), "outputs": [{}]},
    "classification": {**pixels(), "outputs": [{"name": "label", "parameters": {"classification": 1}}]},
    "shared memory": {"inputs": [{**PIXELS, "parameters": {"shared_memory_region": "r"}}]},
    "a timeout before now": {**pixels(), "parameters": {"timeout": -1}},
    "a priority in words": {**pixels(), "parameters": {"priority": "high"}},
    "a rate of everything": {**pixels(), "parameters": {"false_positive_rate": 1}},
    "a rate that nothing supports": {**pixels(), "parameters": {"false_positive_rate": 5e-324}},
    "parameters in a list": {**pixels(), "parameters": [1]},
    "parameters with half a character": {**pixels(), "id": 5, "parameters": {"\ud800": 1}},
    "a number for a name": {**pixels(), "id": 5},
    "a list": [],
    "null": None,
    "a word": "inputs",
}

BODIES = {
    "nothing": b"",
    "depth": b'{"inputs":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "depth of objects": b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
    "depth that does not end": b"[" * 50_000,
    "a string that does not end": b"[" * 40 + b'"' + b'\\"' * 60_000,
    "brackets in strings": b'{"inputs": ["' + b"[" * 100_000 + b'"]}',
    "a number of many digits": b'{"inputs": ' + b"9" * 100_000 + b"}",
    "an exponent without end": b'{"inputs": 1e999999999}',
    "a name said twice": b'{"inputs": [], "inputs": []}',
    "NaN": b'{"inputs": [NaN]}',
    "half a text": b'{"inputs": [',
    "two texts": b"{}{}",
    "latin-1": '{"id": "é"}'.encode("latin-1"),
    "UTF-16": '{"inputs": []}'.encode("utf-16"),
    "a byte-order mark": b"\xef\xbb\xbf{}",
    "a zero byte": b'{"inputs": []}\0',
    "a picture": b"\x89PNG\r\n\x1a\n",
}


@pytest.fixture(scope="module")
def client(server: Any) -> Any:
    with httpx.Client(base_url=server.url, timeout=30) as client:
        yield client
        assert client.get("/v2/health/ready").json() == {"live": True, "ready": True}


def refused(answer: httpx.Response) -> str:
    assert answer.status_code == 400, answer.text
    body = answer.json()
    assert list(body) == ["error"]
    assert 0 < len(body["error"]) <= 1001
    return str(body["error"])


@pytest.mark.parametrize(("text", "behind"), RAW.values(), ids=RAW)
def test_raw_tensors_of_wrong_lengths_are_refused_by_name(client: Any, text: Any, behind: bytes) -> None:
    body = json.dumps(text).encode()
    headers = {"Inference-Header-Content-Length": str(len(body))}
    answer = client.post("/v2/models/digits/infer", content=body + behind, headers=headers)
    assert ("pixels" in (said := refused(answer))) or "image" in said or "binary_data_size" in said


@pytest.mark.parametrize("length", ["0", "-1", "1", "9" * 30, "abc", "1.0", "+138", ""])
def test_a_wrong_length_of_the_json_is_refused(client: Any, length: str) -> None:
    body = json.dumps(pixels()).encode()
    headers = {"Inference-Header-Content-Length": length}
    refused(client.post("/v2/models/digits/infer", content=body, headers=headers))


def test_two_lengths_of_the_json_are_refused(client: Any) -> None:
    body = json.dumps(pixels()).encode()
    name = "Inference-Header-Content-Length"
    headers = [(name, str(len(body))), (name, str(len(body) - 1))]
    refused(client.post("/v2/models/digits/infer", content=body, headers=headers))


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_json_that_is_no_request_is_refused(client: Any, text: Any) -> None:
    refused(client.post("/v2/models/digits/infer", content=json.dumps(text)))


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_bodies_that_are_no_json_are_refused(client: Any, body: bytes) -> None:
    refused(client.post("/v2/models/digits/infer", content=body))


@pytest.mark.parametrize(
    "path",
    [
        "/v2/models/%2e%2e/infer",
        "/v2/models/digits%00",
        "/v2/models/digits/versions/1%0d%0aX-Y:z",
        "/v2/models/" + "d" * 20_000,
        "/v2/models/%ff",
        "/v2/models//infer",
        "/v2//",
        "/v2/models/digits/",
    ],
)
def test_paths_that_lead_nowhere_are_not_found(client: Any, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code in {404, 405}
    assert list(answer.json()) == ["error"]


def test_a_wrong_method_says_which_is_right(client: Any) -> None:
    answer = client.get("/v2/models/digits/infer")
    assert (answer.status_code, answer.headers["allow"], list(answer.json())) == (405, "POST", ["error"])
