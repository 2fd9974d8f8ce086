"""isthmus early-exit."""

from pathlib import Path
from typing import Annotated

import typer

from service.options import IMAGE_SET, Auxiliary, ClassifierSpec, Device, Download, FirstLook, Json, Seed, Weights


def run(
    bundle: Annotated[str, typer.Argument(metavar="BUNDLE", help="A bundle's folder, or the name of a shipped one.")],
    *,
    held_out: Annotated[
        str,
        typer.Option(
            "--held-out", metavar="HELDOUT", help=f"The held-out images that it was calibrated with. {IMAGE_SET}"
        ),
    ],
    out: Annotated[Path, typer.Option("--out", metavar="FOLDER", help="The folder that becomes the new bundle.")],
    look: Annotated[
        list[FirstLook] | None,
        typer.Option(
            "--look",
            help="What the first look takes in besides the image; repeatable; by default the auxiliary classifier.",
            show_default=False,
        ),
    ] = None,
    batches: Annotated[
        int | None,
        typer.Option("--batches", min=10, help="Batches of clean images and proxies to fit it on.", show_default=False),
    ] = None,
    classifier: ClassifierSpec = None,
    weights: Weights = None,
    auxiliary: Auxiliary = None,
    seed: Seed = 0,
    device: Device = None,
    download: Download = False,
    json: Json = False,
) -> None:
    """Let images that are clear at a first look leave there: the same bundle, cheaper on clean images.

    Kept only where verdicts become cheaper and, on images that nothing was fitted on, no worse; otherwise the bundle
    is written as it was, and says why.
    """
    from service.bundles import ClassifierChoice  # noqa: PLC0415
    from service.early_exit import EarlyExitRequest, run_early_exit  # noqa: PLC0415

    request = EarlyExitRequest(
        bundle=bundle,
        choice=ClassifierChoice(name_or_spec=classifier, weights=weights, device=device, auxiliary=auxiliary),
        held_out=held_out,
        out=out,
        looks=tuple(one.value for one in look or ()),
        batches=batches,
        seed=seed,
        download=download,
    )
    run_early_exit(request, json=json)
