"""The client that NVIDIA ships for Triton, unchanged, against the real server."""

import asyncio
import base64
from typing import Any

import numpy as np
import pytest
from tritonclient.http import InferenceServerClient, InferInput, InferRequestedOutput, InferResult
from tritonclient.http import aio as triton_aio
from tritonclient.utils import InferenceServerException

OUTPUTS = {"is_adversarial", "instance_score", "p_value", "label", "verdict", "suspected_label", "label_name"}


@pytest.fixture
def client(server: Any) -> Any:
    with InferenceServerClient(server.address) as client:
        yield client


def files_input(digits: Any, *, is_binary: bool = True) -> InferInput:
    files = digits.files if is_binary else [base64.b64encode(file) for file in digits.files]
    tensor = InferInput("image", [len(files)], "BYTES")
    return tensor.set_data_from_numpy(np.array([*files, None], dtype=np.object_)[:-1], binary_data=is_binary)


def pixels_input(digits: Any, datatype: str = "FP32", *, is_binary: bool = True) -> InferInput:
    pixels = digits.pixels if datatype == "UINT8" else (digits.pixels / np.float32(255)).astype(np.float32)
    return InferInput("pixels", list(pixels.shape), datatype).set_data_from_numpy(pixels, binary_data=is_binary)


def assert_equal_verdicts(result: InferResult, digits: Any) -> None:
    verdicts = digits.verdicts
    texts = [text.decode() if isinstance(text, bytes) else text for text in result.as_numpy("verdict")]
    assert texts == [verdict.decision.value for verdict in verdicts]
    assert result.as_numpy("is_adversarial").tolist() == [verdict.decision.value != "clean" for verdict in verdicts]
    assert result.as_numpy("label").tolist() == [verdict.label for verdict in verdicts]
    np.testing.assert_allclose(result.as_numpy("instance_score"), [verdict.score for verdict in verdicts], atol=1e-4)
    np.testing.assert_allclose(result.as_numpy("p_value"), [verdict.p_value for verdict in verdicts], atol=1e-6)


def test_the_server_and_its_model_present_themselves(client: InferenceServerClient) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("digits")
    assert client.is_model_ready("digits", "1")
    assert not client.is_model_ready("digits", "2")
    assert not client.is_model_ready("letters")
    about = client.get_server_metadata()
    assert about["name"] == "isthmus"
    assert set(about["extensions"]) == {"binary_tensor_data", "parameters", "schedule_policy"}
    model = client.get_model_metadata("digits")
    assert model == client.get_model_metadata("digits", "1")
    assert model["versions"] == ["1"]
    assert {tensor["name"]: tensor["shape"] for tensor in model["inputs"]} == {"image": [-1], "pixels": [-1, 1, 8, 8]}
    assert {tensor["name"] for tensor in model["outputs"]} == OUTPUTS


@pytest.mark.parametrize("is_binary", [True, False], ids=["raw", "json"])
def test_files_get_the_verdicts_that_python_gives(client: Any, digits: Any, is_binary: bool) -> None:
    result = client.infer("digits", [files_input(digits, is_binary=is_binary)], request_id="42")
    assert_equal_verdicts(result, digits)
    assert result.get_response()["id"] == "42"
    assert {output["name"] for output in result.get_response()["outputs"]} == OUTPUTS


@pytest.mark.parametrize("is_binary", [True, False], ids=["raw", "json"])
@pytest.mark.parametrize("datatype", ["FP32", "UINT8"])
def test_pixels_get_the_verdicts_that_python_gives(client: Any, digits: Any, datatype: str, is_binary: bool) -> None:
    result = client.infer("digits", [pixels_input(digits, datatype, is_binary=is_binary)], model_version="1")
    assert_equal_verdicts(result, digits)


@pytest.mark.parametrize("asked", ["gzip", "deflate", None])
@pytest.mark.parametrize("sent", ["gzip", "deflate", None])
def test_bodies_may_be_compressed_both_ways(client: Any, digits: Any, sent: str | None, asked: str | None) -> None:
    outputs = [InferRequestedOutput(name, binary_data=False) for name in sorted(OUTPUTS)]
    result = client.infer(
        "digits",
        [files_input(digits)],
        outputs=outputs,
        request_compression_algorithm=sent,
        response_compression_algorithm=asked,
    )
    assert_equal_verdicts(result, digits)


def test_outputs_come_as_they_were_asked_for(client: Any, digits: Any) -> None:
    outputs = [InferRequestedOutput("p_value", binary_data=True), InferRequestedOutput("verdict", binary_data=False)]
    result = client.infer("digits", [files_input(digits)], outputs=outputs)
    raw, text = result.get_response()["outputs"]
    assert (raw["name"], raw["parameters"]["binary_data_size"]) == ("p_value", 4 * len(digits.files))
    assert (text["name"], len(text["data"])) == ("verdict", len(digits.files))
    assert result.as_numpy("label") is None


def test_a_rate_a_priority_and_a_timeout_are_heard(client: Any, digits: Any) -> None:
    options: dict[str, Any] = {"priority": 1, "timeout": 30_000_000}
    result = client.infer("digits", [files_input(digits)], parameters={"false_positive_rate": 0.5}, **options)
    assert result.get_response()["parameters"]["false_positive_rate"] == 0.5
    assert result.as_numpy("is_adversarial").tolist() == [verdict.p_value <= 0.5 for verdict in digits.verdicts]
    with pytest.raises(InferenceServerException, match="false-positive rate") as refusal:
        client.infer("digits", [files_input(digits)], parameters={"false_positive_rate": 1e-9})
    assert refusal.value.status() == "400"
    with pytest.raises(InferenceServerException) as late:
        client.infer("digits", [files_input(digits)], timeout=1)
    assert late.value.status() == "504"


def test_what_cannot_be_answered_says_why(client: Any, digits: Any) -> None:
    files = files_input(digits)
    broken = InferInput("image", [2], "BYTES").set_data_from_numpy(np.array([digits.files[0], b"no image"], np.object_))
    cases: list[tuple[str, dict[str, Any], str, str]] = [
        ("letters", {"inputs": [files]}, "404", "letters"),
        ("digits", {"inputs": [files], "model_version": "2"}, "404", "no version '2'"),
        ("digits", {"inputs": [broken]}, "400", "element 1 of tensor 'image'"),
        ("digits", {"inputs": [files, pixels_input(digits)]}, "400", "inputs"),
        ("digits", {"inputs": []}, "400", "inputs"),
        ("digits", {"inputs": [files], "outputs": [InferRequestedOutput("label", class_count=2)]}, "400", "classif"),
    ]
    for model, arguments, status, said in cases:
        with pytest.raises(InferenceServerException, match=said) as refusal:
            client.infer(model, **arguments)
        assert refusal.value.status() == status
    assert_equal_verdicts(client.infer("digits", [files]), digits)


def test_many_requests_under_way_at_once_are_each_answered(server: Any, digits: Any) -> None:
    with InferenceServerClient(server.address, concurrency=4) as client:
        waiting = [client.async_infer("digits", [files_input(digits)], request_id=str(index)) for index in range(8)]
        results = [each.get_result() for each in waiting]
    assert [result.get_response()["id"] for result in results] == [str(index) for index in range(8)]
    for result in results:
        assert_equal_verdicts(result, digits)


def test_the_asyncio_client_works_alike(server: Any, digits: Any) -> None:
    async def ask() -> list[InferResult]:
        async with triton_aio.InferenceServerClient(server.address) as client:
            assert await client.is_server_live()
            assert await client.is_model_ready("digits")
            assert (await client.get_model_metadata("digits"))["name"] == "digits"
            with pytest.raises(InferenceServerException, match="letters"):
                await client.get_model_metadata("letters")
            requests = [
                client.infer(
                    "digits",
                    [files_input(digits) if index % 2 else pixels_input(digits)],
                    # Version 2.41 of this client cannot compress a request itself: it does not import gzip.
                    response_compression_algorithm=(None, "gzip", "deflate")[index % 3],
                )
                for index in range(6)
            ]
            return list(await asyncio.gather(*requests))

    for result in asyncio.run(ask()):
        assert_equal_verdicts(result, digits)
