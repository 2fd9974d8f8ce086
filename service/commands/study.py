"""isthmus study."""

from pathlib import Path
from typing import Annotated

import typer

from service.options import IMAGE_SET, Device, Json, Seed


def run(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="A study; without one they are listed.", show_default=False)
    ] = None,
    *,
    listed: Annotated[bool, typer.Option("--list", help="List the studies.")] = False,
    train: Annotated[
        str | None,
        typer.Option(
            "--train", metavar="SET", help=f"Images the classifier was trained on. {IMAGE_SET}", show_default=False
        ),
    ] = None,
    held_out: Annotated[
        str | None,
        typer.Option("--held-out", metavar="SET", help="Images that it was not trained on.", show_default=False),
    ] = None,
    classifier: Annotated[
        str | None,
        typer.Option(
            "--classifier",
            metavar="NAME|SPEC.toml",
            help="A registered classifier, or a spec of one; by default the study's own.",
            show_default=False,
        ),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option("--limit", min=1, help="How much to measure, in the study's unit.", show_default=False),
    ] = None,
    seed: Seed = 0,
    device: Device = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Where page and numbers go.", show_default=False)
    ] = None,
    json: Json = False,
) -> None:
    """Make a published finding again on data at hand, and say whether it holds."""
    from service.errors import InputError  # noqa: PLC0415

    if listed or name is None:
        from service.studies.listing import list_studies  # noqa: PLC0415

        list_studies(json=json)
        return
    if out is None:
        raise InputError(f"add --out DIR, the folder that the page and the numbers of the study {name} go to")
    from service.studies.report import StudyRequest  # noqa: PLC0415
    from service.study import run_study  # noqa: PLC0415

    request = StudyRequest(
        out=out, train=train, held_out=held_out, classifier=classifier, limit=limit, seed=seed, device=device
    )
    run_study(name, request, json=json)
