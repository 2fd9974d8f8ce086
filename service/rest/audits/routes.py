"""Audits: long jobs over the files of a folder on the server, or of an archive that is sent."""

import asyncio
import re
from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import ValidationError

from service.audits.store import Audit
from service.errors import InputError, NotFoundError, UnsupportedMediaError
from service.rest.audits.schemas import AuditDescription, AuditList, AuditOptions, FolderBody, describe_audit
from service.rest.audits.uploads import FIELD, receive_archive
from service.rest.guards.bodies import ARCHIVES, FORM
from service.rest.guards.json_body import parse_json
from service.rest.guards.queries import require_once
from service.rest.owners import key_id_of, owner_of_request
from service.rest.schemas import error_responses, inlined
from service.runtime import Runtime

router = APIRouter(tags=["audits"])

JSON = "application/json"
JSON_LINES = "application/x-ndjson"

MOST_AUDITS, MOST_RESULTS = 1000, 10_000
LARGEST = 2**53

Options = TypeVar("Options", bound=AuditOptions)

AuditId = Annotated[str, Path(alias="id", description="As the audit was given when it began.")]
Offset = Annotated[int, Query(ge=0, le=LARGEST, description="How many to pass over.")]

BINARY = {"type": "string", "format": "binary"}
BODY = {
    "required": True,
    "content": {
        JSON: {"schema": inlined(FolderBody)},
        FORM: {"schema": {"type": "object", "properties": {FIELD: BINARY}, "required": [FIELD]}},
        **{media: {"schema": BINARY} for media in ARCHIVES},
    },
}


@router.post(
    "/v1/audits",
    operation_id="startAudit",
    summary="Begin an audit",
    status_code=202,
    response_model=AuditDescription,
    responses=error_responses(400, 401, 404, 408, 413, 415, 429, 503),
    openapi_extra={"requestBody": BODY},
)
async def start_audit(request: Request, query: Annotated[AuditOptions, Query()]) -> Response:
    """Judge every image of a folder on the server (JSON), or of a zip, tar or tar.gz archive (the body, or a form).

    It runs in the background, behind all requests, and goes on after a restart of the server.
    """
    require_once(request)
    media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media == JSON:
        audit = await _begin_folder(request, query)
    elif media in (FORM, *ARCHIVES):
        audit = await _begin_archive(request, query)
    else:
        raise UnsupportedMediaError(
            f"the body came as {media[:100] or 'nothing in particular'}; send {JSON} with a folder, or an archive as "
            f"application/zip, application/x-tar, application/gzip or in the field {FIELD!r} of a form"
        )
    return _answer(audit, 202, {"Location": f"/v1/audits/{audit.id}"})


@router.get(
    "/v1/audits",
    operation_id="listAudits",
    summary="All audits",
    response_model=AuditList,
    responses=error_responses(400, 401, 503),
)
async def list_audits(
    request: Request, offset: Offset = 0, limit: Annotated[int, Query(ge=1, le=MOST_AUDITS)] = 100
) -> AuditList:
    """The audits of this key, the newest first."""
    runtime: Runtime = request.app.state.runtime
    audits = await asyncio.to_thread(runtime.audits.of_key, owner_of_request(request), offset=offset, limit=limit)
    return AuditList(audits=[describe_audit(audit) for audit in audits])


@router.get(
    "/v1/audits/{id}",
    operation_id="getAudit",
    summary="How far an audit has come",
    response_model=AuditDescription,
    responses=error_responses(401, 404, 503),
)
async def get_audit(request: Request, audit_id: AuditId) -> Response:
    """State, counts, and how long it is likely to take."""
    return _answer(await _found(request, audit_id), 200)


@router.get(
    "/v1/audits/{id}/results",
    operation_id="getAuditResults",
    summary="Results of an audit",
    response_class=Response,
    responses={
        200: {"content": {JSON_LINES: {"schema": {"type": "string"}}}, "description": "One result a line, as JSON."},
        **error_responses(400, 401, 404, 503),
    },
)
async def get_results(
    request: Request,
    audit_id: AuditId,
    offset: Offset = 0,
    limit: Annotated[int, Query(ge=1, le=MOST_RESULTS)] = 1000,
) -> Response:
    """Results in the order of the files, as far as there are; the fields are those of a detection."""
    audit = await _found(request, audit_id)
    runtime: Runtime = request.app.state.runtime
    lines = await asyncio.to_thread(runtime.audits.files.results, audit, offset=offset, limit=limit)
    return Response("".join(f"{line}\n" for line in lines), media_type=JSON_LINES)


@router.post(
    "/v1/audits/{id}/resume",
    operation_id="resumeAudit",
    summary="Go on with a failed audit",
    status_code=202,
    response_model=AuditDescription,
    responses=error_responses(400, 401, 404, 503),
)
async def resume_audit(request: Request, audit_id: AuditId) -> Response:
    """Queue it again, after what failed was put right; what is judged stays judged."""
    runtime: Runtime = request.app.state.runtime
    audit = await asyncio.to_thread(runtime.audits.resume, _checked_id(audit_id), owner_of_request(request))
    return _answer(audit, 202)


@router.delete(
    "/v1/audits/{id}",
    operation_id="deleteAudit",
    summary="End and forget an audit",
    status_code=204,
    response_class=Response,
    responses=error_responses(401, 404, 503),
)
async def delete_audit(request: Request, audit_id: AuditId) -> Response:
    """End it, where it runs, and keep nothing of it."""
    runtime: Runtime = request.app.state.runtime
    await asyncio.to_thread(runtime.audits.forget, _checked_id(audit_id), owner_of_request(request))
    return Response(status_code=204)


async def _begin_folder(request: Request, query: AuditOptions) -> Audit:
    runtime: Runtime = request.app.state.runtime
    data = await request.body()
    content = await asyncio.to_thread(parse_json, data, runtime.settings.json_depth)
    if not isinstance(content, dict):
        raise InputError("the body is a JSON object with a folder; see /docs")
    options = _together(FolderBody, query, content)
    return await asyncio.to_thread(
        runtime.audits.add_folder,
        options.folder,
        bundle=options.bundle,
        false_positive_rate=options.false_positive_rate,
        key_id=key_id_of(request),
    )


async def _begin_archive(request: Request, query: AuditOptions) -> Audit:
    runtime: Runtime = request.app.state.runtime
    audits, key_id = runtime.audits, key_id_of(request)
    # Refused before it has come, and not after.
    await asyncio.to_thread(audits.require_room, key_id)
    path = audits.uploads.open(key_id)
    try:
        received = await receive_archive(request, path, runtime.settings.archive_bytes)
        options = _together(AuditOptions, query, received.fields)
        return await asyncio.to_thread(
            audits.add_archive,
            path,
            received.name,
            bundle=options.bundle,
            false_positive_rate=options.false_positive_rate,
            key_id=key_id,
        )
    finally:
        # Nobody waits for it: the request may have been given up already.
        asyncio.get_running_loop().run_in_executor(None, audits.uploads.close, path)


def _together(kind: type[Options], query: AuditOptions, given: Mapping[str, Any]) -> Options:
    """The options of the address and those of the body.

    Raises:
        InputError: one is in both, unknown, or makes no sense.
    """
    asked = query.model_dump(exclude_unset=True)
    twice = asked.keys() & given.keys()
    if twice:
        raise InputError(f"{min(twice)!r} is given in the address and in the body; leave one of them out")
    try:
        return kind.model_validate(asked | dict(given))
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False, include_context=False)[0]
        raise InputError(f"{'.'.join(map(str, problem['loc']))[:200]}: {problem['msg']}; see /docs") from error


async def _found(request: Request, audit_id: str) -> Audit:
    runtime: Runtime = request.app.state.runtime
    return await asyncio.to_thread(runtime.audits.find, _checked_id(audit_id), owner_of_request(request))


def _checked_id(audit_id: str) -> str:
    if not re.fullmatch(r"[0-9a-f]{32}", audit_id):
        raise NotFoundError("there is no such audit; GET /v1/audits lists those there are")
    return audit_id


def _answer(audit: Audit, status: int, headers: Mapping[str, str] | None = None) -> Response:
    return Response(
        describe_audit(audit).model_dump_json(), status_code=status, media_type=JSON, headers=dict(headers or {})
    )
