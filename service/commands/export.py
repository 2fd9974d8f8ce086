"""isthmus export."""

from pathlib import Path
from typing import Annotated

import typer

from service.options import (
    DEFAULT_BUNDLE,
    IMAGE_SET,
    Auxiliary,
    Bundle,
    ClassifierSpec,
    Download,
    FalsePositiveRate,
    Json,
    Weights,
)


def run(
    *,
    bundle: Bundle = DEFAULT_BUNDLE,
    out: Annotated[Path, typer.Option("--out", metavar="FILE.onnx", help="The file to write.")],
    classifier: ClassifierSpec = None,
    weights: Weights = None,
    auxiliary: Auxiliary = None,
    false_positive_rate: FalsePositiveRate = 0.05,
    with_gradient: Annotated[
        bool,
        typer.Option("--with-gradient", help="Write the classifier's input gradient beside it, as FILE.gradient.onnx."),
    ] = False,
    triton: Annotated[
        Path | None,
        typer.Option(
            "--triton", metavar="DIR", help="Put it into a model repository of Triton, too.", show_default=False
        ),
    ] = None,
    verify: Annotated[
        str | None,
        typer.Option(
            "--verify",
            metavar="IMAGES",
            help=f"Compare the file with PyTorch on these images, too. {IMAGE_SET}",
            show_default=False,
        ),
    ] = None,
    limit: Annotated[
        int | None, typer.Option("--limit", min=1, help="Images to compare on; by default all.", show_default=False)
    ] = None,
    download: Download = False,
    json: Json = False,
) -> None:
    """Write a whole detector as one ONNX file, which needs neither Python nor this package to run.

    The file takes pixels, float32 in [0, 1] of shape (image, channel, height, width), and gives is_adversarial,
    instance_score, p_value, label and suspected_label. It is run and compared with PyTorch before it gets its name;
    exit code 2 where they disagree.
    """
    from service.bundles import ClassifierChoice  # noqa: PLC0415
    from service.export import ExportRequest, run_export  # noqa: PLC0415

    request = ExportRequest(
        bundle=bundle,
        # Whoever runs the file chooses the device; it is made on this one.
        choice=ClassifierChoice(name_or_spec=classifier, weights=weights, device="cpu", auxiliary=auxiliary),
        out=out,
        false_positive_rate=false_positive_rate,
        with_gradient=with_gradient,
        triton=triton,
        verify=verify,
        limit=limit,
        download=download,
    )
    run_export(request, json=json)
