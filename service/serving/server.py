"""The parts of a server, put together and served."""

import concurrent.futures
import contextlib
import gc
import logging
import math
import os
import socket
import ssl

import torch
import typer
import uvicorn

from service.audits.jobs import AuditJobs
from service.engine.engine import Engine
from service.engine.work import EngineSettings
from service.memory_limits import require_batch_memory
from service.observability.logs import configure_logging
from service.observability.observability import Observability
from service.rest.app import create_app
from service.rest.guards.connections import ConnectionLimits, guarded_protocol
from service.runtime import Runtime
from service.serving.flags import unknown_variables
from service.serving.listening import address_of, connections_for
from service.serving.served_bundles import open_served
from service.serving.stopping import EXIT_CUT_SHORT, Server
from service.settings import ServeSettings

BACKLOG = 2048
KEEP_ALIVE_SECONDS = 75
"""Longer than the proxies in front keep a connection: whoever closes first must not be the one who is asked."""

WORTHWHILE_SHARE = 0.7
"""Of the time that a request has: one that would wait longer than that is refused at once, not when its time is up."""

logger = logging.getLogger(__name__)


def serve(settings: ServeSettings, listener: socket.socket, tls: ssl.SSLContext | None) -> int:
    """Serve on a socket that does not listen yet, until a signal comes.

    Returns:
        The exit code: 0 if everything that was accepted was answered.

    Raises:
        InputError, DetectorError, ModelError: a setting, a bundle or a file is not what it should be.
    """
    logs = configure_logging(settings)
    for name in unknown_variables(os.environ):
        logger.warning("a variable that is no setting", extra={"variable": name})
    try:
        return _serve(make_runtime(settings), listener, tls)
    finally:
        logs.close()


def make_runtime(settings: ServeSettings) -> Runtime:
    """Open the bundles and make every part of a server; nothing has started yet.

    Raises:
        InputError, DetectorError, ModelError: see `open_served`, `Observability` and `AuditJobs`.
    """
    torch.set_num_threads(settings.threads or 1)
    bundles = open_served(settings)
    if settings.batch_images is not None:
        for bundle in bundles.values():
            require_batch_memory(bundle.detector, settings.batch_images, "--batch-images")
    observability = Observability(settings, bundles)
    engine = Engine(
        {name: bundle.detector for name, bundle in bundles.items()},
        EngineSettings(
            queue_images=settings.queue_images,
            wait_seconds=WORTHWHILE_SHARE * settings.request_seconds,
            batch_images=settings.batch_images,
            step_seconds=settings.step_seconds,
        ),
        observability,
    )
    return Runtime(
        settings=settings,
        bundles=bundles,
        engine=engine,
        decoders=concurrent.futures.ThreadPoolExecutor(settings.decoding_threads, thread_name_prefix="decoder"),
        observability=observability,
        audits=AuditJobs(settings, bundles, engine, observability),
    )


def _serve(runtime: Runtime, listener: socket.socket, tls: ssl.SSLContext | None) -> int:
    settings = runtime.settings
    app = create_app(runtime)
    # What has been loaded stays: looking through it for garbage would stop every thread for a fifth of a second.
    gc.collect()
    gc.freeze()
    limits = ConnectionLimits(connections=connections_for(settings.requests_at_once))
    config = uvicorn.Config(
        app,
        http=guarded_protocol(limits),
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        # Whoever stands in front is not believed who the client is: nothing here depends on it.
        proxy_headers=False,
        server_header=False,
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=math.ceil(settings.shutdown_seconds),
        ssl_context_factory=None if tls is None else lambda *_: tls,
    )
    if settings.metrics_port is not None:
        port = runtime.observability.serve_metrics(settings.host, settings.metrics_port)
        logger.info("metrics", extra={"host": settings.host, "port": port})
    server = Server(config, settings, runtime.draining, lambda: _announce(runtime, listener))
    server.run([listener])
    return EXIT_CUT_SHORT if server.is_cut_short else 0


def _announce(runtime: Runtime, listener: socket.socket) -> None:
    """Say where the server listens: a line for people on stdout, and one for machines in the log."""
    address = address_of(listener, runtime.settings)
    names = ", ".join(runtime.bundles)
    open_to = "whoever has a key" if runtime.settings.needs_keys else "this machine alone, as there are no keys"
    with contextlib.suppress(OSError):
        typer.echo(f"Isthmus serves {names} on {address} to {open_to}")
    host, port = listener.getsockname()[:2]
    fields = {"address": address, "host": host, "port": port, "is_guarded": runtime.settings.needs_keys}
    logger.info("listening", extra=fields | {"bundles": list(runtime.bundles)})
