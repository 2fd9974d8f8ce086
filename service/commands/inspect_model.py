"""isthmus inspect-model."""

from typing import Annotated

import typer

from service.options import Device, Json, Weights

EXIT_SUSPICIOUS = 2


def run(
    classifier: Annotated[
        str, typer.Argument(metavar="NAME|SPEC.toml", help="A registered classifier, or the description of any other.")
    ],
    *,
    images: Annotated[
        str | None,
        typer.Option(
            metavar="SET",
            help="Labelled images that it was not trained on: says how many it gets right, and whether it seems to be "
            "fed wrongly.",
        ),
    ] = None,
    weights: Weights = None,
    device: Device = None,
    json: Json = False,
) -> None:
    """Say what a classifier takes and gives, how fast it is, and what is not possible with it and why.

    Exit codes: 2 where --images show that it is fed wrongly, 0 otherwise.
    """
    from service.model_inspection import run_inspection  # noqa: PLC0415

    is_sound = run_inspection(classifier, images=images, weights=weights, device=device, json=json)
    raise typer.Exit(0 if is_sound else EXIT_SUSPICIOUS)
