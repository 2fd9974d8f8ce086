"""Feedback: which verdicts were wrong, kept for whoever calibrates next."""

import asyncio
import binascii
import io
from collections.abc import AsyncIterator, Callable
from typing import IO, TypeVar

from fastapi import APIRouter, Request, Response
from PIL import Image
from pydantic import ValidationError
from starlette.concurrency import iterate_in_threadpool
from starlette.responses import StreamingResponse
from torch import Tensor

from detector.types import to_pixels, to_stored
from detector.verdict import Decision
from service.audits.feedback_store import Feedback
from service.errors import InputError, NotFoundError
from service.images import DecodingLimits, decode, pixel_digest
from service.observability.memory import RememberedVerdict
from service.rest.audits.schemas import FeedbackBody, FeedbackDescription, describe_feedback
from service.rest.feedback.export import feedback_lines, write_export
from service.rest.guards.json_body import parse_json
from service.rest.owners import key_id_of, owner_of_request
from service.rest.schemas import error_responses, inlined
from service.runtime import Runtime

router = APIRouter(tags=["feedback"])

T = TypeVar("T")

JSON_LINES = "application/x-ndjson"
PIECE = 2**20

BODY = {"required": True, "content": {"application/json": {"schema": inlined(FeedbackBody)}}}


@router.post(
    "/v1/feedback",
    operation_id="giveFeedback",
    summary="Say that a verdict was wrong",
    status_code=201,
    response_model=FeedbackDescription,
    responses=error_responses(400, 401, 404, 408, 413, 429, 503),
    openapi_extra={"requestBody": BODY},
)
async def give_feedback(request: Request) -> Response:
    """Keep what would have been right, and the image where it is given, in place of what was said of it before.

    Only verdicts that the server still remembers can be named, and only by the key that asked for them.
    """
    runtime: Runtime = request.app.state.runtime
    data = await request.body()
    feedback, labels = await _decoded(runtime, lambda: _understood(runtime, data, key_id_of(request)))
    await asyncio.to_thread(runtime.audits.feedback.add, feedback)
    description = describe_feedback(feedback, labels)
    return Response(description.model_dump_json(), status_code=201, media_type="application/json")


@router.get(
    "/v1/feedback",
    operation_id="listFeedback",
    summary="All feedback",
    response_class=Response,
    responses={
        200: {"content": {JSON_LINES: {"schema": {"type": "string"}}}, "description": "One a line, the oldest first."},
        **error_responses(401, 503),
    },
)
async def list_feedback(request: Request) -> Response:
    """The feedback of this key, without the images."""
    runtime: Runtime = request.app.state.runtime
    lines = feedback_lines(runtime.audits.feedback, runtime.bundles, key_id=owner_of_request(request))
    return StreamingResponse(iterate_in_threadpool(lines), media_type=JSON_LINES)


@router.get(
    "/v1/feedback/export",
    operation_id="exportFeedback",
    summary="Images with feedback, for calibration",
    response_class=Response,
    responses={
        200: {"content": {"application/zip": {"schema": {"type": "string", "format": "binary"}}}},
        **error_responses(400, 401, 404, 429, 503),
    },
)
async def export_feedback(request: Request, bundle: str | None = None) -> Response:
    """A zip archive: `clean/` is a folder of class folders that `isthmus calibrate --held-out` takes.

    `adversarial/` holds what should have been flagged, and `feedback.jsonl` everything that was said.
    """
    runtime: Runtime = request.app.state.runtime
    served = runtime.bundle(bundle)
    audits, key_id = runtime.audits, key_id_of(request)
    path = audits.uploads.open(key_id)

    def written() -> IO[bytes]:
        try:
            file = path.open("x+b")
            # Nobody has to take it out: it is gone as soon as it is closed.
            path.unlink()
            write_export(file, audits.feedback, served, key_id=owner_of_request(request))
            return file
        finally:
            audits.uploads.close(path)

    file = await asyncio.to_thread(written)
    headers = {"Content-Disposition": f'attachment; filename="feedback-{served.name}.zip"'}
    return StreamingResponse(_pieces(file), media_type="application/zip", headers=headers)


async def _pieces(file: IO[bytes]) -> AsyncIterator[bytes]:
    with file:
        await asyncio.to_thread(file.seek, 0)
        while piece := await asyncio.to_thread(file.read, PIECE):
            yield piece


async def _decoded(runtime: Runtime, work: Callable[[], T]) -> T:
    return await asyncio.wrap_future(runtime.decoders.submit(work))


def _understood(runtime: Runtime, data: bytes, key_id: str) -> tuple[Feedback, tuple[str, ...]]:
    body = _parsed(data, runtime.settings.json_depth)
    remembered = runtime.observability.memory.recall(body.request_id, body.index, key_id)
    if remembered is None:
        raise NotFoundError(
            f"no verdict on image {body.index} of the request {body.request_id[:64]!r} is remembered; "
            "give feedback soon, and with the key that asked"
        )
    labels = remembered.bundle.labels
    limits = DecodingLimits(n_bytes=runtime.settings.image_bytes, n_pixels=runtime.settings.image_pixels)
    image = _image(body.image, remembered, limits) if body.image is not None else remembered.image
    feedback = Feedback(
        key_id=key_id,
        request_id=body.request_id,
        position=body.index,
        bundle=remembered.bundle.name,
        bundle_digest=remembered.bundle.digest,
        image_digest=remembered.digest,
        correct_decision=Decision(body.correct_decision),
        correct_label=_label(body.correct_label, labels),
        note=body.note,
        record=remembered.record,
        image=None if image is None else _png(image),
    )
    return feedback, labels


def _parsed(data: bytes, max_depth: int) -> FeedbackBody:
    try:
        return FeedbackBody.model_validate(parse_json(data, max_depth))
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(map(str, problem["loc"]))[:200] or "the body"
        raise InputError(f"{where}: {problem['msg']}; see /docs") from error


def _label(given: int | str | None, labels: tuple[str, ...]) -> int | None:
    if given is None:
        return None
    if isinstance(given, str) and given in labels:
        return labels.index(given)
    if isinstance(given, int) and 0 <= given < len(labels):
        return given
    raise InputError(f"there is no label {str(given)[:64]!r}; give its name or an index from 0 to {len(labels) - 1}")


def _image(text: str, remembered: RememberedVerdict, limits: DecodingLimits) -> Tensor:
    """Decode the image that came with feedback.

    Raises:
        InputError: it is no image, or another one than the verdict was on.
    """
    try:
        data = binascii.a2b_base64(text, strict_mode=True)
    except ValueError as error:
        raise InputError(f"image is not base64 ({error}); give it without line breaks") from error
    image = decode(data, remembered.bundle.preprocessing, limits)
    # Exact pixels may have come as bytes or as numbers in [0, 1].
    if remembered.digest not in (pixel_digest(image), pixel_digest(to_pixels(image[None])[0])):
        raise InputError("this is not the image that the verdict was on; send the same file")
    return image


def _png(image: Tensor) -> bytes:
    stored = to_stored(image) if image.is_floating_point() else image
    pixels = stored.permute(1, 2, 0).contiguous().numpy()
    buffer = io.BytesIO()
    Image.fromarray(pixels if pixels.shape[2] == 3 else pixels[:, :, 0]).save(buffer, "PNG")
    return buffer.getvalue()
