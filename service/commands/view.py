"""isthmus view."""

from pathlib import Path
from typing import Annotated

import typer

from service.errors import InputError
from service.options import Json
from service.viewing.selection import Kind, Selection

DEFAULT_PORT = 8090


def run(
    audit: Annotated[Path, typer.Argument(metavar="DIR", help="The folder that isthmus audit wrote with --out.")],
    *,
    port: Annotated[
        int, typer.Option("--port", min=0, max=65535, help="Port on this machine; 0 takes a free one.")
    ] = DEFAULT_PORT,
    allow_urls: Annotated[
        bool, typer.Option("--allow-urls", help="Fetch images that are not on this machine, too.")
    ] = False,
    export: Annotated[
        Path | None,
        typer.Option(
            "--export", metavar="FOLDER", help="Copy images and a manifest.csv there, and end.", show_default=False
        ),
    ] = None,
    fiftyone: Annotated[
        Path | None,
        typer.Option(
            "--fiftyone", metavar="FOLDER", help="Write a dataset for FiftyOne there, and end.", show_default=False
        ),
    ] = None,
    decision: Annotated[
        Kind, typer.Option("--decision", help="What is exported; flagged is adversarial and undecided.")
    ] = Kind.FLAGGED,
    discoveries: Annotated[
        bool, typer.Option("--discoveries", help="Export those on the list at the audit's false-discovery rate alone.")
    ] = False,
    label: Annotated[
        str | None, typer.Option("--label", help="Export what the classifier calls so.", show_default=False)
    ] = None,
    given_label: Annotated[
        str | None, typer.Option("--given-label", help="Export what the source calls so.", show_default=False)
    ] = None,
    suspected_label: Annotated[
        str | None, typer.Option("--suspected-label", help="Export what may truly be that.", show_default=False)
    ] = None,
    folder: Annotated[
        str | None, typer.Option("--folder", help="Export what lies below it in the source.", show_default=False)
    ] = None,
    limit: Annotated[
        int | None, typer.Option("--limit", min=1, help="Export the most suspicious ones.", show_default=False)
    ] = None,
    json: Json = False,
) -> None:
    """Look at what an audit found, on a page of this machine; or export images with --export or --fiftyone.

    The page shows what has been judged while the audit still runs. Nobody but this machine can open it.
    """
    selection = Selection(
        kind=decision,
        label=label,
        given_label=given_label,
        suspected_label=suspected_label,
        folder=folder,
        discoveries=discoveries,
    )
    if export is None and fiftyone is None:
        if selection != Selection(kind=Kind.FLAGGED) or limit is not None or json:
            raise InputError("these options choose what is exported; give --export or --fiftyone, or leave them out")
        from service.viewing.showing import run_view  # noqa: PLC0415

        run_view(audit, port=port, allow_urls=allow_urls)
        return
    from service.viewing.exporting import run_export  # noqa: PLC0415

    run_export(audit, selection, images=export, fiftyone=fiftyone, limit=limit, allow_urls=allow_urls, json=json)
