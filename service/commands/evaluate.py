"""isthmus evaluate."""

from pathlib import Path
from typing import Annotated

import typer

from service.options import IMAGE_SET, ClassifierSpec, Device, Download, Json, Limit, Seed, Weights


def run(
    *,
    bundle: Annotated[
        list[str],
        typer.Option(
            "--bundle", metavar="BUNDLE", help="A bundle's folder or shipped name; repeatable, to compare bundles."
        ),
    ],
    images: Annotated[str, typer.Option("--images", metavar="EVAL", help=IMAGE_SET)],
    classifier: ClassifierSpec = None,
    weights: Weights = None,
    limit: Limit = 500,
    seed: Seed = 0,
    download: Download = False,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Where the report goes.", show_default=False)
    ] = None,
    device: Device = None,
    json: Json = False,
) -> None:
    """Attack labelled images and measure how well a bundle tells them from clean ones."""
    from service.bundles import ClassifierChoice  # noqa: PLC0415
    from service.evaluation import run_evaluation  # noqa: PLC0415

    run_evaluation(
        bundles=bundle,
        images=images,
        choice=ClassifierChoice(name_or_spec=classifier, weights=weights, device=device),
        limit=limit,
        seed=seed,
        download=download,
        out=out,
        json=json,
    )
