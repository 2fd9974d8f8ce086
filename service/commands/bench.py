"""isthmus bench."""

from pathlib import Path
from typing import Annotated

import typer

from service.options import IMAGE_SET, PresetName, RuntimeName


def run(
    *,
    bundle: Annotated[
        list[str] | None,
        typer.Option(
            metavar="BUNDLE",
            help="A bundle's folder, or the name of a shipped one; may be repeated.",
            show_default=False,
        ),
    ] = None,
    preset: Annotated[
        list[PresetName] | None,
        typer.Option(help="Make up a bundle of this preset for each classifier; may be repeated.", show_default=False),
    ] = None,
    classifier: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME|SPEC.toml",
            help="A classifier to make up bundles for; or that of a bundle for none of ours. May be repeated.",
            show_default=False,
        ),
    ] = None,
    auxiliary: Annotated[
        str | None,
        typer.Option(
            metavar="SPEC.toml", help="The bundles' auxiliary classifier, if none of ours.", show_default=False
        ),
    ] = None,
    device: Annotated[
        list[str] | None,
        typer.Option(
            help="cpu, cuda, cuda:1 …; may be repeated; by default CUDA where there is one.", show_default=False
        ),
    ] = None,
    runtime: Annotated[
        list[RuntimeName] | None,
        typer.Option(
            help="What computes paths; may be repeated; by default torch alone. onnxruntime needs the extra onnx.",
            show_default=False,
        ),
    ] = None,
    batch: Annotated[
        int | None, typer.Option(help="Images of one step; by default each detector's own.", show_default=False)
    ] = None,
    images: Annotated[
        str | None,
        typer.Option(
            metavar="SET",
            help=f"{IMAGE_SET} Noise by default; peers get AUROC with the held-out images of the bundle's calibration.",
            show_default=False,
        ),
    ] = None,
    rounds: Annotated[int, typer.Option(help="Rounds in which all contenders take turns.")] = 5,
    memory: Annotated[
        bool, typer.Option("--memory/--no-memory", help="Measure peak memory, each in a process of its own.")
    ] = True,
    peers: Annotated[
        bool, typer.Option("--peers", help="Compare with detectors by others; needs the extra bench.")
    ] = False,
    scaling: Annotated[
        bool, typer.Option("--scaling", help="Measure how cost grows with images, prototypes, labels and image size.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write everything as JSON there.", show_default=False)
    ] = None,
) -> None:
    """Measure speed, latency and memory of detectors side by side, and how close they come to the classifier's own.

    By default the shipped bundles, and made-up bundles of every preset for the default classifier, on one thread; the
    option --threads of `isthmus` takes more. What is measured is from pixels in memory to verdicts.
    """
    from detector.presets import Preset  # noqa: PLC0415
    from service.bench.request import BenchRequest  # noqa: PLC0415
    from service.bench.running import run_bench  # noqa: PLC0415

    request = BenchRequest(
        bundles=tuple(bundle or ()),
        presets=tuple(Preset(name) for name in preset or ()),
        classifiers=tuple(classifier or ()),
        auxiliary=auxiliary,
        devices=tuple(device or ()),
        runtimes=tuple(runtime or (RuntimeName.TORCH,)),
        batch=batch,
        images=images,
        rounds=rounds,
        has_memory=memory,
        has_peers=peers,
        has_scaling=scaling,
        out=out,
    )
    run_bench(request)
