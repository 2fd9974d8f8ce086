"""isthmus compare."""

from pathlib import Path
from typing import Annotated

import typer

from service.options import Json


def run(
    folders: Annotated[list[Path], typer.Argument(metavar="RUN RUN…", help="Folders of finished evaluations.")],
    *,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE.html", help="Where a page goes.", show_default=False)
    ] = None,
    json: Json = False,
) -> None:
    """Put the figures of finished evaluations side by side."""
    from service.comparison import run_comparison  # noqa: PLC0415

    run_comparison(folders, out=out, json=json)
