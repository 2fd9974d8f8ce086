"""isthmus explain."""

from pathlib import Path
from typing import Annotated

import typer

from service.options import (
    DEFAULT_BUNDLE,
    Auxiliary,
    Bundle,
    ClassifierSpec,
    Device,
    FalsePositiveRate,
    Json,
    SearchedPotential,
    SearchMethod,
    Weights,
)


def run(
    image: Annotated[Path, typer.Argument(metavar="IMAGE", help="An image file.", show_default=False)],
    *,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder that is written.", show_default=False)],
    to: Annotated[
        str | None,
        typer.Option(
            "--to",
            metavar="IMAGE|LABEL",
            help="Where the path leads: an image file, or a label's prototypes, by its name or number; a file of that "
            "name goes first. By default the prototypes of the label that the classifier names.",
            show_default=False,
        ),
    ] = None,
    bundle: Bundle = DEFAULT_BUNDLE,
    classifier: ClassifierSpec = None,
    weights: Weights = None,
    auxiliary: Auxiliary = None,
    false_positive_rate: FalsePositiveRate = 0.05,
    method: Annotated[SearchMethod, typer.Option("--method", help="How a lower path is searched for.")] = (
        SearchMethod.BYPASS
    ),
    potential: Annotated[SearchedPotential, typer.Option("--potential", help="What the search lowers.")] = (
        SearchedPotential.CROSS_ENTROPY
    ),
    budget: Annotated[
        int,
        typer.Option(
            "--budget",
            min=0,
            help="Forward passes for the path, a gradient counting 3; the straight one is measured first.",
        ),
    ] = 400,
    device: Device = None,
    json: Json = False,
) -> None:
    """Explain the verdict on one image: a page with its paths, prototypes and runners-up, and the same as JSON."""
    from service.bundles import ClassifierChoice  # noqa: PLC0415
    from service.explanation import run_explanation  # noqa: PLC0415

    run_explanation(
        image,
        to=to,
        bundle=bundle,
        choice=ClassifierChoice(name_or_spec=classifier, weights=weights, device=device, auxiliary=auxiliary),
        false_positive_rate=false_positive_rate,
        out=out,
        method=method.value,
        potential=potential.value,
        budget=budget,
        json=json,
    )
