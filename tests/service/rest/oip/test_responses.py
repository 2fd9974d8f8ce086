"""Answers of the Open Inference Protocol, taken apart by the client that Triton ships."""

import gzip
import json
import math
import zlib
from typing import Any

import pytest
from tritonclient.http import InferResult

from detector.verdict import Decision, Outcome, Verdict
from service.errors import InputError
from service.rest.oip.responses import (
    COMPRESSIONS,
    OUTPUTS,
    Wanted,
    choose_compression,
    encode_response,
    output_tensors,
    wanted_outputs,
)
from service.rest.oip.schemas import InferenceRequest, InferenceResponse

CAUGHT = Verdict(
    decision=Decision.ADVERSARIAL,
    label=1,
    score=2.5,
    p_value=0.25,
    false_positive_rate=0.5,
    barrier=1.0,
    prototype=0,
    suspected_label=0,
    outcome=Outcome.DECIDED,
    profile=(1.0, 0.0),
)
UNDECIDED = Verdict(
    decision=Decision.UNDECIDED,
    label=0,
    score=math.inf,
    p_value=None,
    false_positive_rate=0.5,
    barrier=None,
    prototype=None,
    suspected_label=None,
    outcome=Outcome.NON_FINITE,
    profile=(),
)
TENSORS = output_tensors([CAUGHT, UNDECIDED], ("zéro", "one"))
HEAD = {"model_name": "m", "model_version": "1"}


def asked(outputs: Any = None, **parameters: Any) -> InferenceRequest:
    tensor = {"name": "image", "shape": [1], "datatype": "BYTES", "data": [""]}
    return InferenceRequest.model_validate({"inputs": [tensor], "outputs": outputs, "parameters": parameters})


@pytest.mark.parametrize("is_binary", [True, False])
def test_tritons_client_reads_every_output_in_either_form(is_binary: bool) -> None:
    encoded = encode_response(HEAD, TENSORS, [Wanted(name=name, is_binary=is_binary) for name in OUTPUTS])
    result = InferResult.from_response_body(encoded.body, header_length=encoded.header_length)
    assert result.as_numpy("is_adversarial").tolist() == [True, True]
    assert result.as_numpy("label").tolist() == [1, 0]
    assert result.as_numpy("suspected_label").tolist() == [0, -1]
    score, missing = result.as_numpy("instance_score").tolist()
    assert score == 2.5
    assert math.isnan(missing)
    assert math.isnan(result.as_numpy("p_value")[1])
    names = [name.decode() if is_binary else name for name in result.as_numpy("label_name")]
    assert names == ["zéro", "one"][::-1]


def test_raw_and_json_outputs_stand_together_in_the_order_asked_for() -> None:
    wanted = [Wanted(name="label", is_binary=True), Wanted(name="verdict", is_binary=False)]
    encoded = encode_response(HEAD, TENSORS, [*wanted, Wanted(name="p_value", is_binary=True)])
    assert encoded.header_length is not None
    text = json.loads(encoded.body[: encoded.header_length])
    assert [output["name"] for output in text["outputs"]] == ["label", "verdict", "p_value"]
    assert [output.get("parameters") for output in text["outputs"]] == [
        {"binary_data_size": 16},
        None,
        {"binary_data_size": 8},
    ]
    assert text["outputs"][1]["data"] == ["adversarial", "undecided"]
    assert len(encoded.body) == encoded.header_length + 24
    InferenceResponse.model_validate(text)


def test_what_is_no_number_is_null_in_json() -> None:
    body = encode_response(HEAD, TENSORS, [Wanted(name="p_value", is_binary=False)]).body
    assert json.loads(body)["outputs"][0]["data"] == [0.25, None]


def test_all_outputs_come_unless_some_are_named() -> None:
    assert [wanted.name for wanted in wanted_outputs(asked())] == list(OUTPUTS)
    assert wanted_outputs(asked([])) == wanted_outputs(asked())
    assert wanted_outputs(asked([{"name": "label"}])) == (Wanted(name="label", is_binary=False),)


def test_an_outputs_own_form_wins_over_the_requests() -> None:
    outputs = [{"name": "label", "parameters": {"binary_data": False}}, {"name": "p_value"}]
    assert [wanted.is_binary for wanted in wanted_outputs(asked(outputs, binary_data_output=True))] == [False, True]


@pytest.mark.parametrize(
    ("outputs", "said"),
    [
        ([{"name": "labels"}], "no output 'labels'"),
        ([{"name": "label"}, {"name": "label"}], "twice"),
        ([{"name": "label", "parameters": {"classification": 3}}], "classification"),
        ([{"name": "label", "parameters": {"shared_memory_region": "r"}}], "shared_memory_region"),
        ([{"name": "label", "parameters": {"binary_data": 1}}], "binary_data"),
    ],
)
def test_outputs_that_are_not_to_be_had_are_refused(outputs: Any, said: str) -> None:
    with pytest.raises(InputError, match=said):
        wanted_outputs(asked(outputs))


@pytest.mark.parametrize(
    ("accepted", "chosen"),
    [
        ("gzip", "gzip"),
        ("deflate", "deflate"),
        ("br, zstd", None),
        ("", None),
        ("gzip;q=0", None),
        ("gzip;q=0.1, deflate;q=0.9", "deflate"),
        ("GZIP ; q=1", "gzip"),
        ("gzip;q=nonsense", None),
        ("identity", None),
    ],
)
def test_a_client_gets_the_compression_that_it_takes(accepted: str, chosen: str | None) -> None:
    assert choose_compression(accepted, 10_000) == chosen


def test_what_is_short_is_not_compressed() -> None:
    assert choose_compression("gzip", 100) is None


def test_compressed_bodies_are_what_their_names_say() -> None:
    body = bytes(5000)
    assert gzip.decompress(COMPRESSIONS["gzip"](body)) == body
    assert zlib.decompress(COMPRESSIONS["deflate"](body)) == body
