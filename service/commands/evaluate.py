"""isthmus evaluate."""

from pathlib import Path
from typing import Annotated

import typer

from service.options import (
    IMAGE_SET,
    Auxiliary,
    ClassifierSpec,
    Device,
    Download,
    Json,
    Limit,
    Runtime,
    RuntimeName,
    Seed,
    Weights,
)

ATTACKS = (
    "Suites (builtin, fast, standard, all) or names of attacks, with commas between them. All but builtin need the "
    "extra isthmus[attacks]."
)


def run(
    *,
    bundle: Annotated[
        list[str],
        typer.Option(
            "--bundle", metavar="BUNDLE", help="A bundle's folder or shipped name; repeatable, to compare bundles."
        ),
    ],
    images: Annotated[str, typer.Option("--images", metavar="EVAL", help=IMAGE_SET)],
    attacks: Annotated[str, typer.Option("--attacks", metavar="SUITE|NAME,…", help=ATTACKS)] = "fast",
    adaptive: Annotated[bool, typer.Option("--adaptive", help="Also attack with knowledge of each bundle.")] = False,
    baselines: Annotated[
        bool,
        typer.Option(
            "--baselines",
            help="Also judge detectors of others, fitted on the first bundle's calibration images, which must be "
            "among EVAL.",
        ),
    ] = False,
    classifier: ClassifierSpec = None,
    weights: Weights = None,
    auxiliary: Auxiliary = None,
    limit: Limit = 300,
    seed: Seed = 0,
    download: Download = False,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="DIR",
            help="Where the run and its report go; the same command continues a run that was stopped.",
            show_default=False,
        ),
    ] = None,
    device: Device = None,
    runtime: Runtime = RuntimeName.TORCH,
    json: Json = False,
) -> None:
    """Attack labelled images and measure how well a bundle tells them from clean ones."""
    from service.bundles import ClassifierChoice  # noqa: PLC0415
    from service.evaluation import EvaluationRequest, run_evaluation  # noqa: PLC0415

    request = EvaluationRequest(
        bundles=bundle,
        images=images,
        choice=ClassifierChoice(
            name_or_spec=classifier, weights=weights, device=device, auxiliary=auxiliary, runtime=runtime
        ),
        attacks=attacks,
        adaptive=adaptive,
        baselines=baselines,
        limit=limit,
        seed=seed,
        download=download,
        out=out,
        json=json,
    )
    run_evaluation(request)
