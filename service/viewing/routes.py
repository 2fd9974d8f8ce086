"""What the page asks: rows, numbers and pictures of one audit. Nothing here changes anything."""

import dataclasses
import json
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import FileResponse, StreamingResponse

from service.errors import InputError, NotFoundError
from service.offline.schema import MANIFEST_PREFIX
from service.offline.sources.source import printable
from service.viewing import downloads
from service.viewing.downloads import Form, plain
from service.viewing.queries import BINS
from service.viewing.selection import Kind, Order, Selection, condition_of
from service.viewing.state import View

MOST_ROWS = 500
LARGEST_SIDE = 1600
KEPT_SECONDS = 600

REPORT_PATH = "/report"

Text = Annotated[str | None, Query(max_length=4096)]
Share = Annotated[float | None, Query(ge=0, le=1)]

router = APIRouter()


def _view(request: Request) -> View:
    view: View = request.app.state.view
    return view


def _selection(
    kind: Annotated[Kind | None, Query()] = None,
    label: Text = None,
    given_label: Text = None,
    suspected_label: Text = None,
    p_value_least: Share = None,
    p_value_most: Share = None,
    folder: Text = None,
    text: Text = None,
    discoveries: bool = False,
    disagrees: bool = False,
) -> Selection:
    return Selection(
        kind=kind,
        label=label,
        given_label=given_label,
        suspected_label=suspected_label,
        p_value_least=p_value_least,
        p_value_most=p_value_most,
        folder=folder,
        text=text,
        discoveries=discoveries,
        disagrees=disagrees,
    )


Viewed = Annotated[View, Depends(_view)]
Selected = Annotated[Selection, Depends(_selection)]


@router.get("/v1/audit")
def audit(view: Viewed) -> dict[str, Any]:
    """What is audited, with what, and how far it is."""
    standing = view.files.standing()
    [(n_images,)] = view.index.fetch("SELECT count(*) FROM image")
    contract = view.files.contract
    return {
        "source": plain(contract.source),
        "bundle": contract.bundle,
        "bundle_digest": contract.bundle_digest,
        "classifier": contract.classifier,
        "false_positive_rate": contract.false_positive_rate,
        "n_calibration": contract.n_calibration,
        "n_images": n_images,
        "n_listed": standing.n_listed,
        "n_shards": view.index.n_shards,
        "n_shards_done": len(view.files.done()),
        "n_shards_damaged": len(view.index.damaged),
        "has_discoveries": standing.has_discoveries,
        "threshold": standing.threshold,
        "has_report": standing.has_report,
        "token": view.token,
    }


@router.get("/v1/choices")
def choices(view: Viewed) -> dict[str, list[tuple[str, int]]]:
    """Labels and folders, each with a number of images: all of them, and those flagged."""
    return view.choices()


@router.get("/v1/overview")
def overview(view: Viewed, selection: Selected) -> dict[str, Any]:
    """The selection in numbers."""
    found = view.queries.overview(selection, _threshold(view, selection))
    return {**dataclasses.asdict(found), "n_bins": BINS}


@router.get("/v1/rows")
def rows(
    view: Viewed,
    selection: Selected,
    order: Order = Order.SUSPICION,
    descends: bool = False,
    after: Annotated[str | None, Query(max_length=65536)] = None,
    n: Annotated[int, Query(ge=1, le=MOST_ROWS)] = 50,
) -> dict[str, Any]:
    """A page of the selection; `next` is what the next one is asked with as `after`."""
    threshold = _threshold(view, selection)
    page = view.queries.page(selection, threshold, order=order, descends=descends, place=after, n=n)
    return {"rows": [plain(row) for row in page.rows], "next": page.next}


@router.get("/v1/rows/{shard}/{row}")
def row(view: Viewed, shard: int, row: int) -> dict[str, Any]:
    """All that is known of one image: its record, where it lies, and which others have the same pixels."""
    record = plain(view.files.record(shard, row))
    own = {name: record.pop(name) for name in list(record) if name.startswith(MANIFEST_PREFIX)}
    digest = record["digest"]
    duplicates, n_same = ([], 0) if digest is None else view.queries.duplicates(digest)
    return {
        "shard": shard,
        "row": row,
        "record": record,
        # As text: a browser reads long integers as other numbers.
        "own": [
            (name.removeprefix(MANIFEST_PREFIX), value if isinstance(value, str) else json.dumps(value))
            for name, value in own.items()
            if value is not None
        ],
        "place": _place(view, shard, row),
        "duplicates": [other for other in duplicates if (other["shard"], other["row"]) != (shard, row)],
        "n_same": n_same,
    }


@router.get("/v1/pictures/{shard}/{row}")
def picture(view: Viewed, shard: int, row: int, side: Annotated[int, Query(ge=16, le=LARGEST_SIDE)] = 128) -> Response:
    """The image, encoded anew as PNG."""
    png = view.pictures.png(view.files.item(shard, row), side)
    return Response(png, media_type="image/png", headers={"Cache-Control": f"private, max-age={KEPT_SECONDS}"})


@router.get("/v1/selection.{form}")
def download(view: Viewed, selection: Selected, form: Form) -> StreamingResponse:
    """The selection with all its columns as a file."""
    where = condition_of(selection, _threshold(view, selection))
    pieces = downloads.written(form, view.files, view.queries.by_shard(where))
    headers = {"Content-Disposition": f'attachment; filename="selection.{form}"'}
    return StreamingResponse(pieces, media_type=downloads.MEDIA_TYPES[form], headers=headers)


@router.get(REPORT_PATH)
def report(view: Viewed) -> FileResponse:
    """The report of the audit."""
    if not view.files.report.is_file():
        raise NotFoundError("there is no report yet; it is written when everything was judged")
    return FileResponse(view.files.report, media_type="text/html; charset=utf-8")


def _threshold(view: View, selection: Selection) -> float | None:
    return view.files.standing().threshold if selection.discoveries else None


def _place(view: View, shard: int, row: int) -> dict[str, Any] | None:
    try:
        item = view.files.item(shard, row)
    except InputError:
        return None
    return {
        "container": printable(item.container),
        "holder": item.holder.value,
        "position": item.position,
        "size": item.size,
    }
