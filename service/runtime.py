"""What a running server consists of; routes find it at `request.app.state.runtime`."""

import concurrent.futures
import dataclasses
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING

from detector.detector import Detector
from models.preprocessing import Preprocessing
from service.errors import NotFoundError
from service.settings import ServeSettings

if TYPE_CHECKING:
    from service.audits.jobs import AuditJobs
    from service.engine.engine import Engine, EngineLoad
    from service.observability.observability import Observability


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class ServedBundle:
    """A bundle that is served.

    Attributes:
        name: what requests call it, and the model's name in the Open Inference Protocol.
        digest: sha256 over the bundle's files.
    """

    name: str
    digest: str
    detector: Detector
    preprocessing: Preprocessing
    labels: tuple[str, ...]


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Runtime:
    """The parts of a running server.

    Attributes:
        bundles: by name, the default first.
        decoders: where bytes become pixels.
        draining: set once the server has been told to stop.
    """

    settings: ServeSettings
    bundles: Mapping[str, ServedBundle]
    engine: "Engine"
    decoders: concurrent.futures.ThreadPoolExecutor
    observability: "Observability"
    audits: "AuditJobs"
    draining: threading.Event = dataclasses.field(default_factory=threading.Event)

    @property
    def is_ready(self) -> bool:
        """Whether new requests should come here."""
        return self.engine.is_ready and not self.draining.is_set()

    @property
    def is_live(self) -> bool:
        """Whether there is a device that answers, however busy."""
        return self.engine.is_live

    def load(self) -> "EngineLoad":
        """How busy it is."""
        return self.engine.load()

    def bundle(self, name: str | None) -> ServedBundle:
        """The bundle of that name; the default one for None.

        Raises:
            NotFoundError: none is called so.
        """
        if name is None:
            return next(iter(self.bundles.values()))
        if name not in self.bundles:
            raise NotFoundError(f"there is no bundle {name!r}; served are {', '.join(self.bundles)}")
        return self.bundles[name]
