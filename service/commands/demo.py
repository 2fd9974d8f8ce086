"""isthmus demo."""

from pathlib import Path
from typing import Annotated

import typer

from service.options import DemoData, Json


def run(
    *,
    data: Annotated[DemoData, typer.Option("--data", help="What to run on.")] = DemoData.DIGITS,
    images: Annotated[
        str | None,
        typer.Option("--images", metavar="PATH", help="Where the CIFAR-10 images are.", show_default=False),
    ] = None,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Where the page goes.")] = Path("isthmus-demo"),
    json: Json = False,
) -> None:
    """Build a detector, attack real images and tell them from clean ones; offline, with a page of pictures."""
    from service.demo import run_demo  # noqa: PLC0415

    run_demo(data=data, images=images, out=out, json=json)
