"""isthmus train."""

from pathlib import Path
from typing import Annotated

import typer

from service.options import IMAGE_SET, Device, Download, Seed


def run(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A registered classifier.", show_default=False)],
    *,
    data: Annotated[str, typer.Option("--data", metavar="SOURCE", help=f"Images to learn from. {IMAGE_SET}")],
    test: Annotated[str, typer.Option("--test", metavar="SOURCE", help="Images to measure the accuracy on.")],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Where the weights and their card go.")],
    epochs: Annotated[
        int | None, typer.Option("--epochs", min=1, help="By default as registered.", show_default=False)
    ] = None,
    seed: Seed = 0,
    device: Device = None,
    download: Download = False,
) -> None:
    """Train a registered classifier; an interrupted training goes on from its last epoch."""
    from service.classifier_training import run_training  # noqa: PLC0415

    run_training(name, data=data, test=test, out=out, epochs=epochs, seed=seed, device=device, download=download)
