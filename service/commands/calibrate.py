"""isthmus calibrate."""

from pathlib import Path
from typing import Annotated

import typer

from service.options import (
    IMAGE_SET,
    Device,
    Download,
    Json,
    LabelChoice,
    PresetName,
    PrototypeName,
    SearchMethod,
    SmoothingName,
    Weights,
)


def run(
    *,
    classifier: Annotated[
        str, typer.Option("--classifier", metavar="NAME|SPEC.toml", help="A registered classifier, or a spec of one.")
    ],
    images: Annotated[
        str, typer.Option("--images", metavar="TRAIN", help=f"Images the classifier was trained on. {IMAGE_SET}")
    ],
    held_out: Annotated[str, typer.Option("--held-out", metavar="HELDOUT", help="Images that it was not trained on.")],
    out: Annotated[Path, typer.Option("--out", metavar="BUNDLE", help="The folder that becomes the bundle.")],
    weights: Weights = None,
    preset: Annotated[PresetName, typer.Option("--preset", help="How much work to put in.")] = PresetName.DEFAULT,
    prototypes: Annotated[
        PrototypeName | None,
        typer.Option("--prototypes", help="Where paths end; by default as the preset says.", show_default=False),
    ] = None,
    start: Annotated[
        PrototypeName | None,
        typer.Option(
            "--start",
            help="Where learning starts, if prototypes are learned: any other kind; by default feature-visualised.",
            show_default=False,
        ),
    ] = None,
    per_label: Annotated[
        int | None, typer.Option("--per-label", min=1, help="Prototypes of each label.", show_default=False)
    ] = None,
    prototype_labels: Annotated[
        LabelChoice,
        typer.Option(
            "--prototype-labels",
            help="Labels that get prototypes: those with images, or all, where prototypes are made without images.",
        ),
    ] = LabelChoice.WITH_IMAGES,
    visualisation_steps: Annotated[
        int | None,
        typer.Option(
            "--visualisation-steps",
            min=1,
            help="Visualise features in so many long steps at most, and leave each prototype as soon as the "
            "classifier is sure of it; by default in 128 small ones.",
            show_default=False,
        ),
    ] = None,
    mixing: Annotated[
        list[float] | None,
        typer.Option(
            "--mixing",
            help="How far along the path a waypoint lies, between 0, the image, and 1, the prototype; repeatable. "
            "Learning moves it.",
            show_default=False,
        ),
    ] = None,
    own_class_weight: Annotated[
        float | None,
        typer.Option(
            "--own-class-weight",
            min=0,
            help="What learned prototypes pay for leaving their class; 0 lets them.",
            show_default=False,
        ),
    ] = None,
    false_positive_rate: Annotated[
        list[float] | None,
        typer.Option("--false-positive-rate", help="A rate the bundle must support; repeatable.", show_default=False),
    ] = None,
    reserve: Annotated[
        float | None,
        typer.Option(
            "--reserve",
            min=0,
            max=1,
            help="Share of the held-out images that calibration leaves alone.",
            show_default=False,
        ),
    ] = None,
    steps: Annotated[
        int | None,
        typer.Option("--steps", min=1, help="Gradient steps at most to learn prototypes in.", show_default=False),
    ] = None,
    batches: Annotated[
        int | None,
        typer.Option("--batches", min=2, help="Batches of clean images and proxies for the head.", show_default=False),
    ] = None,
    proxy_radius: Annotated[
        tuple[float, float] | None,
        typer.Option(
            "--proxy-radius",
            metavar="LOW HIGH",
            help="Sizes of the perturbations to calibrate with, L∞ in pixels of 0 to 1; by default 0.8/255 to "
            "8/255, and 4/255 to 16/255 for black-box ones, which then shrink.",
            show_default=False,
        ),
    ] = None,
    flip: Annotated[
        bool | None,
        typer.Option(
            "--flip/--no-flip",
            help="Whether mirrored images mean the same; by default as the classifier was trained, else yes.",
            show_default=False,
        ),
    ] = None,
    prototypes_from: Annotated[
        str | None,
        typer.Option(
            "--prototypes-from",
            metavar="BUNDLE",
            help="Take over the prototypes and waypoints of a bundle of the same classifier, instead of making them.",
            show_default=False,
        ),
    ] = None,
    auxiliary: Annotated[
        str | None,
        typer.Option(
            "--auxiliary",
            metavar="NAME|SPEC.toml",
            help="A second classifier of the same labels that looks at the same paths, best an adversarially "
            "trained one.",
            show_default=False,
        ),
    ] = None,
    auxiliary_paths: Annotated[
        int | None,
        typer.Option(
            "--auxiliary-paths",
            min=0,
            help="How many of an image's paths it looks along; 0: only at the image.",
            show_default=False,
        ),
    ] = None,
    smoothing: Annotated[
        list[SmoothingName] | None,
        typer.Option(
            "--smoothing",
            help="Look at a smoothed version of each image too; repeatable; by default median.",
            show_default=False,
        ),
    ] = None,
    noisy_share: Annotated[
        float | None,
        typer.Option(
            "--noisy-share",
            min=0,
            max=1,
            help="Share of the clean images that get harmless noise, so that noise is not taken for an attack.",
            show_default=False,
        ),
    ] = None,
    proxies: Annotated[
        list[str] | None,
        typer.Option(
            "--proxies",
            metavar="FAMILY",
            help="Families of proxies: matched, made with gradients, which are the default; adaptive, which know the "
            "head, besides; or alone black-box, made with logits alone, or none, for clean images alone. Repeatable; "
            "attacks of the evaluation are refused.",
            show_default=False,
        ),
    ] = None,
    queries: Annotated[
        int | None,
        typer.Option(
            "--queries",
            min=10,
            help="How often the classifier is asked about one black-box proxy at most; by default 200.",
            show_default=False,
        ),
    ] = None,
    escalate: Annotated[
        SearchMethod | None,
        typer.Option(
            "--escalate",
            help="Search lower paths for images in doubt, by this method, if that is found to pay.",
            show_default=False,
        ),
    ] = None,
    early_exit: Annotated[
        bool,
        typer.Option(
            "--early-exit", help="Let images that are clear at a first look leave there, if that is found to pay."
        ),
    ] = False,
    seed: Annotated[
        int | None, typer.Option("--seed", min=0, help="One seed gives one bundle.", show_default=False)
    ] = None,
    device: Device = None,
    download: Download = False,
    json: Json = False,
) -> None:
    """Make a bundle for a classifier: prototypes, statistics, head and thresholds."""
    from service.calibration import run_calibration  # noqa: PLC0415
    from service.calibration_request import CalibrationRequest  # noqa: PLC0415

    request = CalibrationRequest(
        classifier=classifier,
        weights=weights,
        images=images,
        held_out=held_out,
        out=out,
        preset=preset,
        prototypes=prototypes,
        start=start,
        per_label=per_label,
        prototype_labels=prototype_labels,
        visualisation_steps=visualisation_steps,
        mixing=tuple(mixing or ()),
        own_class_weight=own_class_weight,
        false_positive_rates=tuple(false_positive_rate or ()),
        reserve=reserve,
        steps=steps,
        batches=batches,
        proxy_radius=proxy_radius,
        flip=flip,
        escalate=escalate,
        prototypes_from=prototypes_from,
        auxiliary=auxiliary,
        auxiliary_paths=auxiliary_paths,
        smoothing=tuple(smoothing or ()),
        noisy_share=noisy_share,
        proxies=tuple(proxies or ()),
        queries=queries,
        early_exit=early_exit,
        seed=seed,
        device=device,
        download=download,
    )
    run_calibration(request, json=json)
