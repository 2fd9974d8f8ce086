"""The page at `/`: files beside this one, read once, and the style sheet of the reports, so that all look alike.

A file is found by its name in a table and never by a path, so no request reaches anything else.
"""

import dataclasses
import hashlib
from collections.abc import Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import PurePath
from typing import Final

from fastapi import APIRouter, Request, Response

from service.errors import NotFoundError

MEDIA_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}

INDEX: Final = "index.html"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Asset:
    """A file of the page.

    Attributes:
        tag: entity tag, by which a browser learns that what it has is still right.
    """

    content: bytes
    media_type: str
    tag: str


def read_assets(package: str) -> dict[str, Asset]:
    """The files of the page that a package has in its folder `page`, by name."""
    found = files(package).joinpath("page").iterdir()
    return {file.name: _asset(file) for file in found if _suffix(file) in MEDIA_TYPES}


def _asset(file: Traversable) -> Asset:
    content = file.read_bytes()
    tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    return Asset(content=content, media_type=MEDIA_TYPES[_suffix(file)], tag=tag)


def _suffix(file: Traversable) -> str:
    return PurePath(file.name).suffix


_REPORT_STYLE: Final = files("detector").joinpath("evaluation", "templates", "page.css")

ASSETS: Final = read_assets("service.rest") | {"report.css": _asset(_REPORT_STYLE)}
"""By name, `index.html` among them."""


def asset_router(assets: Mapping[str, Asset]) -> APIRouter:
    """Routes to a page and to the files that it refers to."""
    routes = APIRouter(include_in_schema=False)

    @routes.api_route("/", methods=["GET", "HEAD"])
    async def index(request: Request) -> Response:
        return _response(assets[INDEX], request)

    @routes.api_route("/assets/{name}", methods=["GET", "HEAD"])
    async def asset(name: str, request: Request) -> Response:
        if name not in assets:
            raise NotFoundError("the page has no such file")
        return _response(assets[name], request)

    return routes


def _response(asset: Asset, request: Request) -> Response:
    """A file of a page; without its content where the browser has it already."""
    # Kept by the browser, but asked for each time: after an upgrade all files are of one version.
    headers = {"ETag": asset.tag, "Cache-Control": "no-cache"}
    known = {tag.strip().removeprefix("W/") for tag in request.headers.get("If-None-Match", "").split(",")}
    if asset.tag in known:
        return Response(status_code=304, headers=headers)
    return Response(asset.content, media_type=asset.media_type, headers=headers)


router = asset_router(ASSETS)
