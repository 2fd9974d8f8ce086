"""isthmus info."""

from pathlib import Path
from typing import Annotated

import typer

from service.options import Json


def run(
    bundle: Annotated[str, typer.Argument(metavar="BUNDLE", help="A bundle's folder, or the name of a shipped one.")],
    *,
    prototypes: Annotated[
        Path | None,
        typer.Option("--prototypes", metavar="FILE.png", help="Draw the bundle's prototypes, too.", show_default=False),
    ] = None,
    json: Json = False,
) -> None:
    """Say what a bundle holds: its classifier, settings, labels and measured figures."""
    from service.bundle_info import run_info  # noqa: PLC0415

    run_info(bundle, prototypes=prototypes, json=json)
