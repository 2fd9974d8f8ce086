"""The client of the Open Inference Protocol's own working group, unchanged, against the real server."""

import asyncio
import base64
from typing import Any

import pytest
from open_inference.openapi.client import AsyncOpenInferenceClient, OpenInferenceClient
from open_inference.openapi.core.api_error import ApiError
from open_inference.openapi.errors.bad_request_error import BadRequestError
from open_inference.openapi.errors.not_found_error import NotFoundError
from open_inference.openapi.types.inference_request import InferenceRequest
from open_inference.openapi.types.inference_response import InferenceResponse
from open_inference.openapi.types.request_input import RequestInput
from open_inference.openapi.types.request_output import RequestOutput


@pytest.fixture
def client(server: Any) -> Any:
    client = OpenInferenceClient(base_url=server.url)
    yield client
    client._client_wrapper.httpx_client.close()


def request_of(digits: Any, name: str = "image") -> InferenceRequest:
    if name == "image":
        texts = [base64.b64encode(file).decode() for file in digits.files]
        tensor = {"shape": [len(texts)], "datatype": "BYTES", "data": texts}
    else:
        tensor = {"shape": list(digits.pixels.shape), "datatype": "UINT8", "data": digits.pixels.tolist()}
    return InferenceRequest(id="42", inputs=[RequestInput(name=name, **tensor)])


def assert_equal_verdicts(response: InferenceResponse, digits: Any) -> None:
    data = {output.name: output.data.dict()["__root__"] for output in response.outputs}
    assert data["verdict"] == [verdict.decision.value for verdict in digits.verdicts]
    assert data["label"] == [verdict.label for verdict in digits.verdicts]
    assert data["p_value"] == pytest.approx([verdict.p_value for verdict in digits.verdicts], abs=1e-6)
    assert (response.model_name, response.model_version, response.id) == ("digits", "1", "42")


def test_the_server_presents_itself(client: OpenInferenceClient) -> None:
    client.check_server_liveness()
    client.check_server_readiness()
    client.check_model_readiness("digits")
    client.check_model_version_readiness("digits", "1")
    assert client.read_server_metadata().name == "isthmus"
    model = client.read_model_metadata("digits")
    assert model == client.read_model_version_metadata("digits", "1")
    assert [tensor.name for tensor in model.inputs or []] == ["image", "pixels"]


@pytest.mark.parametrize("name", ["image", "pixels"])
def test_images_get_the_verdicts_that_python_gives(client: OpenInferenceClient, digits: Any, name: str) -> None:
    request = request_of(digits, name)
    assert_equal_verdicts(client.model_infer("digits", request=request), digits)
    assert_equal_verdicts(client.model_version_infer("digits", "1", request=request), digits)


def test_failures_are_the_clients_own_exceptions(client: OpenInferenceClient, digits: Any) -> None:
    with pytest.raises(NotFoundError):
        client.check_model_readiness("letters")
    with pytest.raises(NotFoundError):
        client.check_model_version_readiness("digits", "2")
    with pytest.raises(ApiError) as missing:
        client.read_model_metadata("letters")
    assert (missing.value.status_code, list(missing.value.body)) == (404, ["error"])
    request = request_of(digits).copy(update={"outputs": [RequestOutput(name="labels")]})
    with pytest.raises(BadRequestError) as refusal:
        client.model_infer("digits", request=request)
    assert "labels" in refusal.value.body["error"]


def test_the_asyncio_client_works_alike(server: Any, digits: Any) -> None:
    async def ask() -> list[InferenceResponse]:
        client = AsyncOpenInferenceClient(base_url=server.url)
        async with client._client_wrapper.httpx_client:
            await client.check_server_readiness()
            await client.check_model_readiness("digits")
            assert (await client.read_model_metadata("digits")).name == "digits"
            return list(
                await asyncio.gather(
                    *[client.model_infer("digits", request=request_of(digits, name)) for name in ("image", "pixels")]
                )
            )

    for response in asyncio.run(ask()):
        assert_equal_verdicts(response, digits)
