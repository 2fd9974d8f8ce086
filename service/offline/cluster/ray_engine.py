"""The engine of `--engine ray`: the worker of the embedded engine, as often as a cluster has room for it."""

import dataclasses

from service.offline.cluster.crew_engine import CrewEngine
from service.offline.cluster.ray_cluster import RayCluster, require_ray, worker_needs
from service.offline.cluster.ray_crew import RayCrew
from service.offline.work import WorkerSettings


class RayEngine(CrewEngine):
    """Judges shards on a Ray cluster, one worker a GPU or a core; what it gives is what the embedded engine gives.

    Shards come back to this process, which writes them: workers need the bundle, the images and the same version of
    Isthmus, but no place to write to. Ray moves settings and shards between machines as pickles, so whoever can reach
    the cluster's ports can run code there: keep it in a network of its own.

    Args:
        address: `HOST:PORT` of a running cluster, or `auto` on one of its machines, which is left running; None starts
            one on this machine, which goes down with the engine.
        n_workers: None takes as many as there is room for.

    Raises:
        InputError: Ray is not installed, or it is given a device or a number of workers that cannot be.
    """

    def __init__(self, settings: WorkerSettings, *, address: str | None = None, n_workers: int | None = None) -> None:
        ray = require_ray()
        needs = worker_needs(settings)
        choice = dataclasses.replace(settings.choice, device="cuda" if needs.n_gpus else "cpu")
        cluster = RayCluster(ray, needs, address=address, n_workers=n_workers)
        super().__init__(RayCrew(ray, dataclasses.replace(settings, choice=choice), cluster))
