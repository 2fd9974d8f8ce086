"""The interactive documentation, from files that came with a package; and the document that it shows."""

import functools
import json
import threading
from pathlib import Path
from typing import Any

import swagger_ui_bundle
from fastapi import APIRouter, FastAPI, Request, Response
from starlette.concurrency import run_in_threadpool

from service.errors import NotFoundError
from service.rest.docs.openapi_30 import in_30

router = APIRouter(include_in_schema=False)

_writing = threading.Lock()

PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Isthmus API</title>
<link rel="icon" href="docs/assets/favicon-32x32.png">
<link rel="stylesheet" href="docs/assets/swagger-ui.css">
</head>
<body>
<div id="docs"></div>
<script src="docs/assets/swagger-ui-bundle.js"></script>
<script src="docs/assets/start.js"></script>
</body>
</html>
"""

# Without the null, documents of other hosts than localhost would be sent to a validator on the internet.
START = """SwaggerUIBundle({
  url: "docs/openapi.json",
  dom_id: "#docs",
  deepLinking: true,
  validatorUrl: null,
  presets: [SwaggerUIBundle.presets.apis],
  layout: "BaseLayout",
});
"""

ASSETS = {
    "swagger-ui.css": "text/css",
    "swagger-ui-bundle.js": "text/javascript",
    "favicon-32x32.png": "image/png",
}

BEARER = {"type": "http", "scheme": "bearer", "description": "One of the server's keys; none where it has none."}


@router.get("/docs")
async def documentation() -> Response:
    return Response(PAGE, media_type="text/html")


@router.get("/docs/assets/{name}")
async def asset(name: str) -> Response:
    if name == "start.js":
        return Response(START, media_type="text/javascript")
    if name not in ASSETS:
        raise NotFoundError("the documentation has no such file")
    return Response(await run_in_threadpool(_content, name), media_type=ASSETS[name])


# Neither is `async`: half a second's work, once, must not hold up the event loop.
@router.get("/openapi.json")
def openapi(request: Request) -> Response:
    return Response(_written(request.app)[0], media_type="application/json")


@router.get("/docs/openapi.json")
def openapi_for_the_page(request: Request) -> Response:
    return Response(_written(request.app)[1], media_type="application/json")


def document(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document of everything that is served, with the key, and with our own errors only."""
    if app.openapi_schema is None:
        app.openapi_schema = _ours(app.openapi())
    return app.openapi_schema


def _written(app: FastAPI) -> tuple[bytes, bytes]:
    """The document as it is, and in the words of 3.0; written once."""
    with _writing:
        if not hasattr(app.state, "openapi_written"):
            documents = (document(app), in_30(document(app)))
            app.state.openapi_written = tuple(json.dumps(one).encode("ascii") for one in documents)
        written: tuple[bytes, bytes] = app.state.openapi_written
        return written


def _ours(schema: dict[str, Any]) -> dict[str, Any]:
    components = schema.setdefault("components", {})
    components.setdefault("securitySchemes", {})["key"] = BEARER
    # Either: a server without keys asks none.
    schema["security"] = [{"key": []}, {}]
    schemas = components.get("schemas", {})
    # What makes no sense is answered by 400 here.
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    for path in schema.get("paths", {}).values():
        for operation in path.values():
            operation["responses"].pop("422", None)
    return schema


@functools.cache
def _content(name: str) -> bytes:
    return (Path(str(swagger_ui_bundle.swagger_ui_path)) / name).read_bytes()
