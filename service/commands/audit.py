"""isthmus audit."""

from pathlib import Path
from typing import Annotated

import typer

from service.options import (
    DEFAULT_BUNDLE,
    AuditEngine,
    AuditFailOn,
    Auxiliary,
    Bundle,
    ClassifierSpec,
    Device,
    FalsePositiveRate,
    Json,
    Runtime,
    RuntimeName,
    Weights,
)


def run(
    *,
    images: Annotated[
        str | None,
        typer.Option(
            "--images",
            metavar="SOURCE",
            help="A folder, a glob, a manifest (.csv, .jsonl, .parquet), tar shards, Parquet with images, a URL.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="DIR",
            help="The folder to write, or to go on with where one was begun.",
            show_default=False,
        ),
    ] = None,
    verify: Annotated[
        Path | None,
        typer.Option(
            "--verify",
            metavar="DIR",
            help="Check the digests and counts of an audit instead; nothing is judged.",
            show_default=False,
        ),
    ] = None,
    bundle: Bundle = DEFAULT_BUNDLE,
    classifier: ClassifierSpec = None,
    weights: Weights = None,
    auxiliary: Auxiliary = None,
    false_positive_rate: FalsePositiveRate = 0.05,
    false_discovery_rate: Annotated[
        float,
        typer.Option(
            "--false-discovery-rate", help="Share of false alarms that the list of discoveries may have, in (0, 1)."
        ),
    ] = 0.1,
    shard_size: Annotated[
        int, typer.Option("--shard-size", min=16, help="Images of a shard; the first are smaller.")
    ] = 1024,
    readers: Annotated[
        int | None,
        typer.Option("--readers", min=1, help="Threads that decode; one a core by default.", show_default=False),
    ] = None,
    engine: Annotated[
        AuditEngine, typer.Option("--engine", help="What judges: this process, or a Ray cluster (extra ray).")
    ] = AuditEngine.EMBEDDED,
    address: Annotated[
        str | None,
        typer.Option(
            "--address",
            metavar="ADDRESS",
            help="Of the Ray cluster; by default one on this machine.",
            show_default=False,
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option("--workers", min=1, help="Ray workers; one a GPU or a core by default.", show_default=False),
    ] = None,
    allow_urls: Annotated[
        bool, typer.Option("--allow-urls", help="Let SOURCE, and manifests, name what is not on this machine.")
    ] = False,
    fail_on: Annotated[
        AuditFailOn | None,
        typer.Option(
            "--fail-on",
            help="Exit with 3 where an image is flagged, is on the list of discoveries, or could not be read.",
            show_default=False,
        ),
    ] = None,
    pictures: Annotated[
        int, typer.Option("--pictures", min=0, max=200, help="Flagged images that the report shows.")
    ] = 50,
    metrics_port: Annotated[
        int | None,
        typer.Option("--metrics-port", min=0, max=65535, help="Serve /metrics meanwhile.", show_default=False),
    ] = None,
    metrics_host: Annotated[str, typer.Option("--metrics-host", help="Address to serve metrics on.")] = "127.0.0.1",
    device: Device = None,
    runtime: Runtime = RuntimeName.TORCH,
    json: Json = False,
) -> None:
    """Judge a collection of images of any size, and report what is in it.

    DIR gets shards of results (Parquet), a summary and report.html. Called again after it was interrupted, killed or
    out of disk, the same command goes on where it was; what is done is not repeated.

    Exit codes: 2 bad input, damage that --verify finds, or a stop after which the same command goes on; 3 where
    --fail-on finds what it looks for; 130 interrupted; 0 otherwise, unless no image could be read at all.
    """
    from service.errors import InputError  # noqa: PLC0415

    if verify is not None:
        if images is not None or out is not None:
            raise InputError("--verify judges nothing; leave --images and --out away")
        from service.offline.verification import run_verification  # noqa: PLC0415

        raise typer.Exit(run_verification(verify, is_json=json))
    if images is None or out is None:
        raise InputError("an audit needs --images SOURCE and --out DIR, or --verify DIR")
    from service.bundles import ClassifierChoice  # noqa: PLC0415
    from service.offline.audit_request import AuditRequest  # noqa: PLC0415
    from service.offline.auditing import run_audit  # noqa: PLC0415

    choice = ClassifierChoice(
        name_or_spec=classifier, weights=weights, device=device, auxiliary=auxiliary, runtime=runtime
    )
    request = AuditRequest(
        bundle=bundle,
        images=images,
        out=out,
        choice=choice,
        false_positive_rate=false_positive_rate,
        false_discovery_rate=false_discovery_rate,
        shard_size=shard_size,
        n_readers=readers,
        engine=engine,
        address=address,
        n_workers=workers,
        allow_urls=allow_urls,
        fail_on=fail_on,
        n_pictures=pictures,
        metrics_port=metrics_port,
        metrics_host=metrics_host,
        is_json=json,
    )
    raise typer.Exit(run_audit(request))
