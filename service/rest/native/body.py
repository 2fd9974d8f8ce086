"""The body of a detection, in whichever of the three forms it comes: files of a form, one image, or JSON."""

import binascii
import dataclasses
import time
from collections.abc import Mapping
from functools import partial
from typing import Any

from pydantic import ValidationError
from starlette.requests import Request

from service.engine.waiting import answered
from service.errors import InputError, UnsupportedMediaError
from service.rest.disconnects import client_gone
from service.rest.guards.json_body import parse_json
from service.rest.native.forms import Form, parse_form
from service.rest.preparing import pooled, require_number
from service.rest.schemas import LONGEST_NAME, DetectBody, DetectOptions
from service.runtime import Runtime
from service.settings import ServeSettings

FILES = "files"

INLINE_BYTES = 256 * 1024
"""Larger bodies are taken apart in another thread, so that the event loop goes on."""

Files = list[tuple[str, bytes]]


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Detection:
    """What is asked.

    Attributes:
        files: (name, encoded image).
    """

    files: Files
    options: DetectOptions


async def read_detection(request: Request, query: DetectOptions, runtime: Runtime) -> Detection:
    """Read and take apart the body.

    Raises:
        UnsupportedMediaError: it comes in another form.
        InputError, TooLargeError: it is damaged, holds no image or too many, or an option is unknown or given twice.
        ClientDisconnect, ClientGoneError: the client left while it was being read or taken apart.
        DeadlineError: no thread had time for it.
    """
    content_type = request.headers.get("content-type", "")
    # Refused before it is read.
    media = media_type(content_type)
    body = await request.body()
    arguments = (media, content_type, body, query, runtime.settings)
    if len(body) <= INLINE_BYTES or is_image(media):
        return take_apart(*arguments)
    deadline = time.monotonic() + runtime.settings.longest_request_seconds
    return await answered(
        pooled(runtime, partial(take_apart, *arguments)), deadline=deadline, gone=client_gone(request)
    )


def media_type(content_type: str) -> str:
    """The media type in lower case, without parameters.

    Raises:
        UnsupportedMediaError: it is none in which images are taken.
    """
    media = content_type.partition(";")[0].strip().lower()
    if media in ("multipart/form-data", "application/json") or is_image(media):
        return media
    raise UnsupportedMediaError(
        f"the body came as {media[:100] or 'nothing in particular'}; send multipart/form-data with files in the field "
        f"{FILES!r}, one image as image/* or application/octet-stream, or application/json"
    )


def is_image(media: str) -> bool:
    """Whether the body is one encoded image; which kind, its bytes say."""
    return media.startswith("image/") or media == "application/octet-stream"


def take_apart(media: str, content_type: str, body: bytes, query: DetectOptions, settings: ServeSettings) -> Detection:
    """Make files and options of a body.

    Raises:
        InputError, TooLargeError: see `read_detection`.
    """
    if media == "application/json":
        return _from_json(body, query, settings)
    if media == "multipart/form-data":
        return _from_form(parse_form(content_type, body, most_files=settings.files), query)
    return Detection(files=[("image", body)], options=query)


def _from_json(body: bytes, query: DetectOptions, settings: ServeSettings) -> Detection:
    try:
        parsed = DetectBody.model_validate(parse_json(body, settings.json_depth))
    except ValidationError as error:
        raise _complaint(error) from error
    require_number(len(parsed.images), settings)
    given = {name: getattr(parsed, name) for name in parsed.model_fields_set - {"images"}}
    return Detection(
        files=[
            (image.name or f"image-{index}", _from_base64(image.data, index))
            for index, image in enumerate(parsed.images)
        ],
        options=_together(query, given),
    )


def _from_form(form: Form, query: DetectOptions) -> Detection:
    strangers = {field for field, _, _ in form.files} - {FILES}
    if strangers:
        raise InputError(f"a file came in the field {min(strangers)[:100]!r}; send files in the field {FILES!r}")
    if not form.files:
        raise InputError(f"the form holds no file; send images in the field {FILES!r}")
    for _, name, _ in form.files:
        if len(name) > LONGEST_NAME:
            raise InputError(f"a file's name has {len(name)} characters, and at most {LONGEST_NAME} are taken")
    files = [(name or f"image-{index}", data) for index, (_, name, data) in enumerate(form.files)]
    return Detection(files=files, options=_together(query, form.fields))


def _from_base64(data: str, index: int) -> bytes:
    try:
        return binascii.a2b_base64(data, strict_mode=True)
    except ValueError as error:
        raise InputError(f"images[{index}].data is not base64 ({error}); give it without line breaks") from error


def _together(query: DetectOptions, given: Mapping[str, Any]) -> DetectOptions:
    """The options of the address and those of the body.

    Raises:
        InputError: one is in both, unknown, or makes no sense.
    """
    if not given:
        return query
    twice = query.model_fields_set & given.keys()
    if twice:
        raise InputError(f"{min(twice)!r} is given in the address and in the body; leave one of them out")
    asked = {name: getattr(query, name) for name in query.model_fields_set}
    try:
        return DetectOptions.model_validate(asked | dict(given))
    except ValidationError as error:
        raise _complaint(error) from error


def _complaint(error: ValidationError) -> InputError:
    """The first of what is wrong, without the value: it may be long, or not to be repeated."""
    problem = error.errors(include_url=False, include_input=False, include_context=False)[0]
    where = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in problem["loc"]).lstrip(".")
    return InputError(f"{where[:200] or 'the body'}: {problem['msg']}; see /docs")
