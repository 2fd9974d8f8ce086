"""The document of the Open Inference Protocol that requests are made from."""

from typing import Any

from open_inference.openapi.types.inference_error_response import InferenceErrorResponse
from open_inference.openapi.types.inference_request import InferenceRequest
from open_inference.openapi.types.inference_response import InferenceResponse
from open_inference.openapi.types.metadata_model_response import MetadataModelResponse
from open_inference.openapi.types.metadata_server_response import MetadataServerResponse
from pydantic.v1.schema import schema as definitions_of

COMPONENTS = "#/components/schemas/"


def official_document() -> dict[str, Any]:
    """The protocol as OpenAPI, rebuilt from the models of its working group's own client."""
    bodies = (
        InferenceRequest,
        InferenceResponse,
        InferenceErrorResponse,
        MetadataModelResponse,
        MetadataServerResponse,
    )
    definitions = definitions_of(bodies, ref_prefix=COMPONENTS)["definitions"]
    model = {"name": "model_name", "in": "path", "required": True, "schema": {"enum": ["digits", "letters"]}}
    version = {"name": "model_version", "in": "path", "required": True, "schema": {"enum": ["1", "2"]}}
    paths: dict[str, Any] = {
        "/v2": {"get": _operation([], "MetadataServerResponse")},
        "/v2/health/live": {"get": _operation([], None)},
        "/v2/health/ready": {"get": _operation([], None)},
    }
    for path, parameters in (
        ("/v2/models/{model_name}", [model]),
        ("/v2/models/{model_name}/versions/{model_version}", [model, version]),
    ):
        paths[path] = {"get": _operation(parameters, "MetadataModelResponse")}
        paths[f"{path}/ready"] = {"get": _operation(parameters, None)}
        asked = {"required": True, "content": _content("InferenceRequest")}
        paths[f"{path}/infer"] = {"post": {**_operation(parameters, "InferenceResponse"), "requestBody": asked}}
    return {
        "openapi": "3.0.3",
        "info": {"title": "Open Inference Protocol", "version": "2"},
        "paths": paths,
        "components": {"schemas": definitions},
    }


def _content(name: str | None) -> dict[str, Any]:
    return {"application/json": {"schema": {} if name is None else {"$ref": f"{COMPONENTS}{name}"}}}


def _operation(parameters: list[dict[str, Any]], answer: str | None) -> dict[str, Any]:
    refused = {"description": "Refused", "content": _content("InferenceErrorResponse")}
    responses = {"200": {"description": "Done", "content": _content(answer)}, "4XX": refused}
    return {"parameters": parameters, "responses": responses}
