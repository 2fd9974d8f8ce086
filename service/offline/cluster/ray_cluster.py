"""A Ray cluster: one of this machine's own, or one that runs already."""

import contextlib
import dataclasses
import logging
import os
import signal
import socket
import threading
from collections.abc import Iterator
from typing import Any

import torch

from models.errors import one_line
from service.errors import InputError
from service.offline.cluster.ray_devices import require_ray_device
from service.offline.work import WorkerSettings

STORE_BYTES = 256 * 2**20
"""Shared memory of a cluster of our own, for the shards that are under way. What does not fit goes to the disk."""

CONNECT_SECONDS = 5.0
"""For whoever listens at an address to answer."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class WorkerNeeds:
    """What one worker takes of a machine."""

    n_cpus: int
    n_gpus: int

    def within(self, n_cpus: int) -> "WorkerNeeds":
        """With no more cores than that, but at least one."""
        return dataclasses.replace(self, n_cpus=max(1, min(self.n_cpus, n_cpus)))

    def __str__(self) -> str:
        return f"{self.n_cpus} CPU" + (f" and {self.n_gpus} GPU" if self.n_gpus else "")


def require_ray() -> Any:
    """Import Ray, told to keep quiet: it reports usage over the network, and writes to stdout, unless asked not to.

    Raises:
        InputError: it is not installed.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # What happens on the cluster is told by Ray on stdout, which may be ours for JSON; the log has it as well.
    os.environ.setdefault("RAY_DEDUP_LOGS_SKIP_REGEX", ".")
    os.environ.setdefault("RAY_SCHEDULER_EVENTS", "0")
    # Ray is to leave CUDA_VISIBLE_DEVICES alone where a worker has no GPU; it warns of changing its mind about that.
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        import ray  # noqa: PLC0415
    except ImportError as error:
        raise InputError(
            f"the engine ray needs the package ray, which cannot be imported ({one_line(error)}); "
            "pip install 'isthmus[ray]', or audit without --engine ray"
        ) from error
    return ray


@dataclasses.dataclass(frozen=True, kw_only=True)
class Staff:
    """How many workers there should be, and what each takes."""

    n_workers: int
    needs: WorkerNeeds


def worker_needs(settings: WorkerSettings) -> WorkerNeeds:
    """One GPU a worker where the device is CUDA, with a core for each thread that decodes; otherwise one core.

    Raises:
        InputError: the device is one GPU of several, which Ray deals out, or of another kind.
    """
    device = require_ray_device(settings.choice.device or ("cuda" if torch.cuda.is_available() else "cpu"))
    is_gpu = device == "cuda"
    return WorkerNeeds(n_cpus=settings.n_readers if is_gpu else 1, n_gpus=int(is_gpu))


class RayCluster:
    """Connects to a cluster, or starts one, and leaves it as it was found.

    Args:
        address: `HOST:PORT` of a cluster, or `auto` on one of its machines; None starts one on this machine. A process
            that is connected already stays so.
        needs: of a worker; with a GPU it gets fewer cores where a machine has fewer for each of its GPUs.
        n_workers: None takes as many as the machine or the cluster has room for now.

    Raises:
        InputError: `address` or `n_workers` cannot be.
    """

    def __init__(self, ray: Any, needs: WorkerNeeds, *, address: str | None, n_workers: int | None) -> None:
        if n_workers is not None and n_workers < 1:
            raise InputError(f"{n_workers} workers were asked for; give at least 1")
        if address is not None and "://" in address:
            raise InputError(
                f"{address} is the address of a proxy of Ray; give HOST:PORT, or auto on a machine of the cluster: "
                "the audit writes its files where it runs"
            )
        self._ray = ray
        self._needs = needs
        self._address = address
        self._n_workers = n_workers
        self._is_connected = False

    def connect(self) -> Staff:
        """Connect, or start.

        Raises:
            InputError: there is no such cluster, it does not fit this installation, or it has no room.
        """
        if self._ray.is_initialized():
            return self._staff_there()
        if self._address is None:
            return self._start()
        try:
            _require_somebody_at(self._address)
            self._init(address=self._address)
        except self._failures as error:
            reason = one_line(error).rstrip(".")
            raise InputError(
                f"there is no Ray cluster to be had at {self._address}: {reason}; give HOST:PORT of one with the "
                "same versions of Ray and Python, or leave --address out to start one on this machine"
            ) from error
        self._is_connected = True
        return self._staff_there()

    def disconnect(self) -> None:
        """Let go of the cluster; one that was started for this goes down."""
        if self._is_connected:
            self._is_connected = False
            self._ray.shutdown()

    def room(self) -> str:
        """What is free now, for people."""
        free = self._ray.available_resources()
        return f"{free.get('CPU', 0):g} CPU and {free.get('GPU', 0):g} GPU free"

    def _start(self) -> Staff:
        staff = self._staff_here()
        try:
            self._init(
                address="local",
                num_cpus=staff.n_workers * staff.needs.n_cpus,
                num_gpus=staff.n_workers * staff.needs.n_gpus,
                include_dashboard=False,
                object_store_memory=STORE_BYTES,
            )
        except Exception as error:
            # Of any kind: where its processes do not come up in half a minute, Ray raises Exception itself.
            raise InputError(
                f"Ray cannot be started on this machine: {one_line(error).rstrip('.')}; put that right, or audit "
                "without --engine ray"
            ) from error
        self._is_connected = True
        return staff

    def _init(self, **options: Any) -> None:
        with _own_sigterm():
            self._ray.init(log_to_driver=False, logging_level=logging.ERROR, **options)

    @property
    def _failures(self) -> tuple[type[Exception], ...]:
        """What Ray raises where it finds nobody, another version, another token, or no room for its files."""
        return OSError, RuntimeError, ValueError, self._ray.exceptions.RayError

    def _staff_here(self) -> Staff:
        n_cpus = len(os.sched_getaffinity(0))
        if not self._needs.n_gpus:
            return Staff(n_workers=self._n_workers or n_cpus, needs=self._needs)
        n_gpus = torch.cuda.device_count()
        if n_gpus < (self._n_workers or 1):
            raise InputError(
                f"{self._n_workers or 'some'} workers were asked for, and this machine has {n_gpus} GPUs; "
                "give at most one worker a GPU, or --device cpu"
            )
        return Staff(n_workers=self._n_workers or n_gpus, needs=self._needs.within(n_cpus // n_gpus))

    def _staff_there(self) -> Staff:
        has = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
        n_cpus, n_gpus = (sum(int(node.get(kind, 0)) for node in has) for kind in ("CPU", "GPU"))
        needs = self._needs
        if needs.n_gpus and n_gpus:
            needs = needs.within(min(int(node.get("CPU", 0) // node["GPU"]) for node in has if node.get("GPU")))
        n_workers = self._n_workers or (n_gpus if needs.n_gpus else n_cpus)
        if not n_workers:
            raise InputError(
                f"each worker needs {needs}, and the cluster has {n_cpus} CPU and {n_gpus} GPU; "
                "give --workers where it grows by itself, or another --device"
            )
        return Staff(n_workers=n_workers, needs=needs)


def _require_somebody_at(address: str) -> None:
    """Raise an OSError where nobody listens; Ray would try for minutes."""
    host, separator, port = address.rpartition(":")
    if separator:
        socket.create_connection((host.strip("[]"), int(port)), CONNECT_SECONDS).close()


@contextlib.contextmanager
def _own_sigterm() -> Iterator[None]:
    """Ray takes the handler of SIGTERM for itself when it is begun with."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handler = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if handler is not None:
            signal.signal(signal.SIGTERM, handler)
