"""isthmus detect."""

from pathlib import Path
from typing import Annotated

import typer

from service.options import (
    DEFAULT_BUNDLE,
    Auxiliary,
    Bundle,
    ClassifierSpec,
    Device,
    FailOn,
    FalsePositiveRate,
    Json,
    Runtime,
    RuntimeName,
    Weights,
)


def run(
    images: Annotated[list[Path], typer.Argument(metavar="IMAGE", help="Image files.", show_default=False)],
    *,
    bundle: Bundle = DEFAULT_BUNDLE,
    classifier: ClassifierSpec = None,
    weights: Weights = None,
    auxiliary: Auxiliary = None,
    false_positive_rate: FalsePositiveRate = 0.05,
    fail_on: Annotated[
        FailOn | None,
        typer.Option("--fail-on", help="Exit with 3 where an image is adversarial or undecided.", show_default=False),
    ] = None,
    device: Device = None,
    runtime: Runtime = RuntimeName.TORCH,
    json: Json = False,
) -> None:
    """Judge images, one verdict a line.

    Exit codes: 2 where a file could not be read or an image not be judged (the other images are judged all the same);
    3 where --fail-on is given, every file could be read, and something is flagged; 0 otherwise.
    """
    from service.bundles import ClassifierChoice  # noqa: PLC0415
    from service.detection import run_detection  # noqa: PLC0415

    exit_code = run_detection(
        images,
        bundle=bundle,
        choice=ClassifierChoice(
            name_or_spec=classifier, weights=weights, device=device, auxiliary=auxiliary, runtime=runtime
        ),
        false_positive_rate=false_positive_rate,
        fail_on=fail_on,
        json=json,
    )
    raise typer.Exit(exit_code)
