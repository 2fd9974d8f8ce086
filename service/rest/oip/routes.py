"""The Open Inference Protocol (KServe V2): a bundle is a model, its only version is 1, and clients of Triton work."""

import importlib.metadata
import time
import uuid
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request, Response
from torch import Tensor

from detector.verdict import Verdict
from service.engine.waiting import answered
from service.errors import EngineError, InputError, NotFoundError
from service.observability import context
from service.records import Record
from service.rest.judging import Options, client_gone, judge_encoded, judge_pixels
from service.rest.oip.requests import (
    DATATYPES,
    IMAGE,
    PIXELS,
    InputLimits,
    false_positive_rate,
    priority,
    read_images,
    read_request,
    timeout_seconds,
)
from service.rest.oip.responses import (
    COMPRESSIONS,
    OUTPUTS,
    EncodedResponse,
    choose_compression,
    encode_response,
    output_tensors,
    wanted_outputs,
)
from service.rest.oip.schemas import (
    InferenceRequest,
    InferenceResponse,
    MetadataTensor,
    ModelMetadata,
    ModelNames,
    ModelReady,
    Parameters,
    ServerMetadata,
)
from service.rest.owners import key_id_of, owner_of_request
from service.rest.preparing import pooled
from service.rest.schemas import error_responses, inlined
from service.runtime import Runtime, ServedBundle
from service.settings import ServeSettings

if TYPE_CHECKING:
    from service.engine.permits import Permit

VERSION = "1"
EXTENSIONS = ("binary_tensor_data", "parameters", "schedule_policy")
HEADER_LENGTH = "Inference-Header-Content-Length"
ANY_LENGTH = -1

READ_AT_ONCE = 64 * 1024
"""Bytes; longer bodies are taken apart in the decoding threads."""

router = APIRouter(tags=["Open Inference Protocol"])

INFER: dict[str, Any] = {
    "response_model": None,
    "responses": {
        200: {
            "description": "One value an image in each output; raw ones stand behind the JSON.",
            "model": InferenceResponse,
            "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
        },
        **error_responses(400, 401, 404, 408, 413, 415, 429, 503, 504),
    },
    "openapi_extra": {
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {"schema": inlined(InferenceRequest)},
                "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
            },
        },
        "parameters": [
            {
                "name": HEADER_LENGTH,
                "in": "header",
                "required": False,
                "description": "Length of the JSON where raw tensors follow it.",
                "schema": {"type": "integer", "minimum": 1},
            }
        ],
    },
}


@router.get("/v2", operation_id="serverMetadata", responses=error_responses(401))
async def server_metadata() -> ServerMetadata:
    """The server and what it speaks."""
    version = importlib.metadata.version("isthmus")
    return ServerMetadata(name="isthmus", version=version, extensions=list(EXTENSIONS))


@router.get("/v2/models", operation_id="listModels", responses=error_responses(401))
async def list_models(request: Request) -> ModelNames:
    """The bundles that are served."""
    return ModelNames(models=list(_runtime(request).bundles))


@router.get("/v2/models/{model_name}", operation_id="modelMetadata", responses=error_responses(401, 404))
@router.get(
    "/v2/models/{model_name}/versions/{model_version}",
    operation_id="modelVersionMetadata",
    responses=error_responses(401, 404),
)
async def model_metadata(request: Request, model_name: str, model_version: str = VERSION) -> ModelMetadata:
    """What a bundle takes and gives."""
    bundle = _bundle(request, model_name, model_version)
    shapes = {IMAGE: [ANY_LENGTH], PIXELS: [ANY_LENGTH, *bundle.detector.classifier.input_shape]}
    return ModelMetadata(
        name=bundle.name,
        versions=[VERSION],
        platform="isthmus",
        inputs=[
            MetadataTensor(name=name, datatype=datatypes[0].value, shape=shapes[name])
            for name, datatypes in DATATYPES.items()
        ],
        outputs=[
            MetadataTensor(name=name, datatype=datatype.value, shape=[ANY_LENGTH]) for name, datatype in OUTPUTS.items()
        ],
        properties={"bundle_digest": bundle.digest},
    )


@router.get("/v2/models/{model_name}/ready", operation_id="modelReady", responses=error_responses(401, 404, 503))
@router.get(
    "/v2/models/{model_name}/versions/{model_version}/ready",
    operation_id="modelVersionReady",
    responses=error_responses(401, 404, 503),
)
async def model_ready(request: Request, model_name: str, model_version: str = VERSION) -> ModelReady:
    """Whether a bundle can judge now; 503 where it cannot."""
    bundle = _bundle(request, model_name, model_version)
    runtime = _runtime(request)
    if not runtime.is_ready:
        state = "draining" if runtime.draining.is_set() else runtime.engine.state.value
        raise EngineError(f"{bundle.name} is not ready: the server is {state}")
    return ModelReady(name=bundle.name, ready=True)


@router.post("/v2/models/{model_name}/infer", operation_id="modelInfer", **INFER)
@router.post("/v2/models/{model_name}/versions/{model_version}/infer", operation_id="modelVersionInfer", **INFER)
async def model_infer(request: Request, model_name: str, model_version: str = VERSION) -> Response:
    """Judge images given as files or as pixels."""
    runtime, bundle = _runtime(request), _bundle(request, model_name, model_version)
    with runtime.engine.permit(key_id=owner_of_request(request)) as permit:
        return await _infer(request, runtime, bundle, permit)


async def _infer(request: Request, runtime: Runtime, bundle: ServedBundle, permit: "Permit") -> Response:
    body = await request.body()
    # More than one are joined, and so no number.
    header_length = ", ".join(request.headers.getlist(HEADER_LENGTH)) if HEADER_LENGTH in request.headers else None
    read = partial(_read, body, header_length, bundle, runtime.settings)
    if len(body) < READ_AT_ONCE:
        asked, images = read()
    else:
        deadline = time.monotonic() + runtime.settings.longest_request_seconds
        asked, images = await answered(pooled(runtime, read), deadline=deadline, gone=client_gone(request))
    wanted, options = wanted_outputs(asked), _options(request, asked.parameters or {})
    judged = await _judge(request, bundle, images, options, permit)
    verdicts = [_verdict(index, record, verdict) for index, (record, verdict) in enumerate(judged)]
    rate = verdicts[0].false_positive_rate
    head = InferenceResponse(
        model_name=bundle.name,
        model_version=VERSION,
        id=asked.id,
        parameters={"bundle_digest": bundle.digest, "false_positive_rate": rate},
        outputs=[],
    ).model_dump(exclude_none=True)
    encoded = encode_response(head, output_tensors(verdicts, bundle.labels), wanted)
    return _response(encoded, request.headers.get("Accept-Encoding", ""))


def _read(
    body: bytes, header_length: str | None, bundle: ServedBundle, settings: ServeSettings
) -> tuple[InferenceRequest, tuple[bytes, ...] | Tensor]:
    limits = InputLimits(input_shape=bundle.detector.classifier.input_shape, n_images=settings.files)
    asked, raw = read_request(body, header_length, settings.json_depth, limits)
    return asked, read_images(asked, raw, limits)


def _options(request: Request, parameters: Parameters) -> Options:
    return Options(
        request_id=context.request_id.get() or uuid.uuid4().hex,
        key_id=key_id_of(request),
        false_positive_rate=false_positive_rate(parameters),
        priority=priority(parameters),
        seconds=timeout_seconds(parameters),
    )


async def _judge(
    request: Request, bundle: ServedBundle, images: tuple[bytes, ...] | Tensor, options: Options, permit: "Permit"
) -> Iterator[tuple[Record, Verdict | None]]:
    names = [str(index) for index in range(len(images))]
    runtime, gone = _runtime(request), client_gone(request)
    if isinstance(images, Tensor):
        judged = await judge_pixels(runtime, bundle, images, names, options, gone, permit)
    else:
        files = list(zip(names, images, strict=True))
        judged = await judge_encoded(runtime, bundle, files, options, gone, permit)
    return zip(judged.records, judged.verdicts, strict=True)


def _verdict(index: int, record: Record, verdict: Verdict | None) -> Verdict:
    """Outputs have a value for every image, so one that cannot be decoded is an error of the whole request."""
    if verdict is None:
        raise InputError(f"element {index} of tensor {IMAGE!r}: {record['error']}")
    return verdict


def _response(encoded: EncodedResponse, accept_encoding: str) -> Response:
    headers = {} if encoded.header_length is None else {HEADER_LENGTH: str(encoded.header_length)}
    compression = choose_compression(accept_encoding, len(encoded.body))
    body = encoded.body
    if compression is not None:
        body = COMPRESSIONS[compression](body)
        headers["Content-Encoding"] = compression
    headers["Vary"] = "Accept-Encoding"
    media_type = "application/json" if encoded.header_length is None else "application/octet-stream"
    return Response(body, media_type=media_type, headers=headers)


def _runtime(request: Request) -> Runtime:
    runtime: Runtime = request.app.state.runtime
    return runtime


def _bundle(request: Request, name: str, version: str) -> ServedBundle:
    bundle = _runtime(request).bundle(name)
    if version != VERSION:
        raise NotFoundError(f"{name} has no version {version[:64]!r}; there is {VERSION!r}")
    return bundle
