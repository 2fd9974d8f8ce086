"""One run of an audit, from a request to an exit code."""

import contextlib
import logging
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import cast

import torch

from detector.types import ProgressCallback
from service.bundles import open_bundle
from service.console import describe_os_error, messages, write_error, write_json
from service.errors import EngineError, InputError
from service.offline.audit_request import AuditRequest
from service.offline.contracting import contract_of, worker_settings
from service.offline.folder.audit_folder import AuditFolder
from service.offline.folder.contract import Contract
from service.offline.progress.audit_metrics import AuditMetrics, served_metrics
from service.offline.progress.bars import audit_bars
from service.offline.progress.lines import JsonLines, PlainLines
from service.offline.progress.meter import ProgressMeter
from service.offline.progress.view import AuditView, shown
from service.offline.run_record import RunRecord
from service.offline.signals import termination_interrupts
from service.offline.sources.opening import open_source
from service.offline.sources.source import Source
from service.offline.work import Engine, Shard, WorkerSettings
from service.options import AuditEngine

EXIT_STOPPED = 2
EXIT_INTERRUPTED = 130

logger = logging.getLogger(__name__)


def run_audit(request: AuditRequest) -> int:
    """Audit, or go on with an audit, and say what came out; returns the exit code.

    Raises:
        InputError, DetectorError, ModelError: something that was asked for cannot be had.
        BrokenPipeError: nobody reads the JSON lines any more.
    """
    _require_apart(request)
    bundle = open_bundle(request.bundle)
    source = open_source(request.images, allow_urls=request.allow_urls)
    contract = contract_of(request, bundle, source)
    folder = AuditFolder(request.out)
    try:
        with folder.locked(), termination_interrupts():
            is_resumed, contract = folder.begin(contract)
            if is_resumed:
                logger.info("going on with the audit in %s", request.out)
            record = RunRecord.begin(request, contract, folder.path)
            with _view(request) as view:
                n_images, seconds = _judge_all(request, contract, source, folder, view)
                # What draws and what finds clusters takes seconds to import: the first images do not wait for it.
                from service.offline.concluding import conclude, done_document, exit_code, write_words  # noqa: PLC0415

                summary = conclude(request, bundle, folder, view.stage)
            record.end(n_images=n_images, seconds=seconds)
    except KeyboardInterrupt:
        write_error(f"interrupted; {_kept(request)}")
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        raise
    except (OSError, EngineError) as error:
        reason = describe_os_error(error) if isinstance(error, OSError) else str(error)
        write_error(f"{reason}; {_kept(request)}")
        return EXIT_STOPPED
    if request.is_json:
        write_json(done_document(summary, request.out))
    else:
        write_words(summary, request.out)
    return exit_code(summary, request.fail_on)


def open_engine(
    request: AuditRequest, settings: WorkerSettings, n_threads: int | None, progress: ProgressCallback
) -> Engine:
    """What judges the shards.

    Args:
        n_threads: of one computation in this process; None leaves that to torch.

    Raises:
        InputError, DetectorError, ModelError: the detector or the cluster cannot be had.
    """
    if request.engine is AuditEngine.RAY:
        from service.offline.cluster.ray_engine import RayEngine  # noqa: PLC0415

        return RayEngine(settings, address=request.address, n_workers=request.n_workers)
    if n_threads is not None:
        torch.set_num_threads(n_threads)
    from service.offline.judging.embedded import EmbeddedEngine  # noqa: PLC0415
    from service.offline.judging.worker import ShardWorker  # noqa: PLC0415

    return EmbeddedEngine(ShardWorker.open(settings, progress))


def _judge_all(
    request: AuditRequest, contract: Contract, source: Source, folder: AuditFolder, view: AuditView
) -> tuple[int, float]:
    """How many images were judged, and in how many seconds."""
    settings = worker_settings(request, contract, source)
    with contextlib.closing(open_engine(request, settings, contract.n_threads, view.stage)) as engine:
        meter = ProgressMeter(lambda: folder.progress)
        metrics = AuditMetrics(meter, _info(request, contract))
        # A generator, which ends the listing when it is closed.
        shards = cast(Generator[Shard], folder.shards(source, request.shard_size, _go_on))
        with (
            served_metrics(metrics, request.metrics_host, request.metrics_port),
            shown(view, meter.reading),
            contextlib.closing(shards),
        ):
            for shard in engine.judge(shards, meter.tick):
                meter.write(shard, folder.write)
                metrics.shard(shard)
                view.shard(shard)
        return meter.n_judged, meter.seconds


@contextlib.contextmanager
def _view(request: AuditRequest) -> Iterator[AuditView]:
    if request.is_json:
        yield JsonLines()
    elif messages.is_terminal:
        with audit_bars(messages) as bars:
            yield bars
    else:
        yield PlainLines()


def _require_apart(request: AuditRequest) -> None:
    """What an audit writes must not be audited."""
    source = Path(request.images.removeprefix("file://"))
    if source.is_dir() and request.out.resolve().is_relative_to(source.resolve()):
        raise InputError(
            f"{request.out} lies in {request.images}, so that the audit would find its own files; "
            "give a folder outside with --out"
        )


def _info(request: AuditRequest, contract: Contract) -> dict[str, str]:
    return {
        "bundle": contract.bundle,
        "bundle_digest": contract.bundle_digest,
        "classifier": contract.classifier,
        "device": contract.device,
        "engine": request.engine.value,
        "version": contract.isthmus_version,
    }


def _kept(request: AuditRequest) -> str:
    return f"what is judged is kept in {request.out}: the same command goes on from there"


def _go_on() -> None:
    """The listing ends when its iterator is closed."""
