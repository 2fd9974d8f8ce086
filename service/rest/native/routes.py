"""The native API: images in, verdicts out; and what is served."""

import json
import math
import time
import uuid
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from service.errors import InputError
from service.observability import context
from service.rest.disconnects import watching
from service.rest.guards.queries import require_once
from service.rest.judging import Judged, Options, client_gone, deadline_of, judge_encoded
from service.rest.native.body import Detection, read_detection
from service.rest.native.pictures import draw, require_few
from service.rest.owners import key_id_of, owner_of_request
from service.rest.schemas import (
    BundleDescription,
    BundleList,
    DetectBody,
    DetectOptions,
    DetectResponse,
    error_responses,
    inlined,
)
from service.runtime import Runtime, ServedBundle

router = APIRouter()

Pictured = list[dict[str, Any] | None]

FILES_SCHEMA = {"type": "array", "items": {"type": "string", "format": "binary"}, "minItems": 1}


def _form_schema() -> dict[str, Any]:
    schema = inlined(DetectOptions)
    return schema | {"properties": {"files": FILES_SCHEMA, **schema["properties"]}, "required": ["files"]}


DETECT_BODY = {
    "required": True,
    "content": {
        "multipart/form-data": {"schema": _form_schema()},
        "image/*": {"schema": {"type": "string", "format": "binary"}},
        "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
        "application/json": {"schema": inlined(DetectBody)},
    },
}


@router.post(
    "/v1/detect",
    operation_id="detect",
    tags=["detection"],
    summary="Judge images",
    response_model=DetectResponse,
    responses=error_responses(400, 401, 404, 408, 413, 415, 429, 503, 504),
    openapi_extra={"requestBody": DETECT_BODY},
)
async def detect(request: Request, query: Annotated[DetectOptions, Query()]) -> Response:
    """Judge one image or many.

    A file that cannot be decoded does not spoil the others: its result has an `error` and is undecided. If none can be,
    the answer is 400. Options are query parameters, form fields, or members of the JSON body.
    """
    started = time.monotonic()
    require_once(request)
    runtime: Runtime = request.app.state.runtime
    with runtime.engine.permit(key_id=owner_of_request(request)) as permit:
        detection = await read_detection(request, query, runtime)
        bundle = runtime.bundle(detection.options.bundle)
        if detection.options.pictures:
            require_few(len(detection.files))
        options = engine_options(request, detection.options)
        deadline = deadline_of(runtime, options)
        async with watching(client_gone(request)) as gone:
            judged = await judge_encoded(runtime, bundle, detection.files, options, gone, permit)
            if judged.images is None:
                raise InputError(_first_error(judged, detection))
            pictured: Pictured = [None] * len(judged.records)
            if detection.options.pictures:
                pictured = await draw(runtime, bundle, judged, key_id=options.key_id, deadline=deadline, gone=gone)
    body = _body(bundle, judged, options.request_id, pictured, is_profiled=detection.options.profile)
    stages = judged.stages
    body["timing_ms"] = {
        "decode": _milliseconds(stages.decode),
        "queue": _milliseconds(stages.queue),
        "compute": _milliseconds(stages.compute),
        "total": _milliseconds(time.monotonic() - started),
    }
    return json_response(body)


@router.get(
    "/v1/bundles",
    operation_id="listBundles",
    tags=["bundles"],
    summary="What is served",
    response_model=BundleList,
    responses=error_responses(401),
)
async def list_bundles(request: Request) -> Response:
    """Every bundle, the default first."""
    runtime: Runtime = request.app.state.runtime
    return json_response({"bundles": [describe(runtime, bundle) for bundle in runtime.bundles.values()]})


@router.get(
    "/v1/bundles/{name}",
    operation_id="getBundle",
    tags=["bundles"],
    summary="One bundle",
    response_model=BundleDescription,
    responses=error_responses(401, 404),
)
async def get_bundle(request: Request, name: str) -> Response:
    """What is known about a bundle."""
    runtime: Runtime = request.app.state.runtime
    return json_response(describe(runtime, runtime.bundle(name)))


def engine_options(request: Request, asked: DetectOptions) -> Options:
    """What the engine needs to know of a request; its name and its key come from the middlewares."""
    return Options(
        request_id=context.request_id.get() or uuid.uuid4().hex,
        key_id=key_id_of(request),
        false_positive_rate=asked.false_positive_rate,
        priority=asked.priority.priority,
        seconds=None if asked.timeout_ms is None else asked.timeout_ms / 1000,
    )


def describe(runtime: Runtime, bundle: ServedBundle) -> dict[str, Any]:
    """The fields of `schemas.BundleDescription`."""
    known = bundle.detector.bundle
    record = known.record
    n_calibration = len(known.conformal.scores)
    return {
        "name": bundle.name,
        "digest": bundle.digest,
        "is_default": bundle is runtime.bundle(None),
        "classifier": record.classifier,
        "classifier_digest": record.classifier_digest,
        "labels": list(bundle.labels),
        "input_shape": list(bundle.detector.classifier.input_shape),
        "preprocessing": bundle.preprocessing.to_dict(),
        "false_positive_rate": bundle.detector.false_positive_rate,
        "smallest_false_positive_rate": 1 / (n_calibration + 1),
        "n_calibration": n_calibration,
        "forward_equivalents": known.expected_forward_equivalents,
        "profile_positions": [0.0, *known.mixing.tolist(), 1.0],
        "measured": {name: value if math.isfinite(value) else None for name, value in record.measured.items()},
        "created": record.created,
    }


def json_response(content: Any) -> Response:
    """Plain types as JSON, in ASCII: a name may hold what no encoding can write."""
    text = json.dumps(content, allow_nan=False, separators=(",", ":"))
    return Response(text.encode("ascii"), media_type="application/json")


def _body(
    bundle: ServedBundle, judged: Judged, request_id: str, pictured: Pictured, *, is_profiled: bool
) -> dict[str, Any]:
    records = judged.records if is_profiled else [record | {"profile": None} for record in judged.records]
    return {
        "request_id": request_id,
        "bundle": bundle.name,
        "bundle_digest": bundle.digest,
        "results": [record | {"pictures": pictures} for record, pictures in zip(records, pictured, strict=True)],
    }


def _first_error(judged: Judged, detection: Detection) -> str:
    error = str(judged.records[0]["error"])
    return error if len(detection.files) == 1 else f"none of the files can be decoded; the first: {error}"


def _milliseconds(seconds: float) -> float:
    return round(seconds * 1000, 3)
