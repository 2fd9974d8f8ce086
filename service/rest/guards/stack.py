"""What every request passes before it reaches a route, from the outside to the inside."""

import threading
from collections.abc import Callable, Sequence

from starlette.middleware import Middleware

from service.observability.observability import Observability
from service.rest.failures import Failures
from service.rest.guards.admission import RequestsAtOnce
from service.rest.guards.authentication import Authentication
from service.rest.guards.bodies import Bodies, BodyBudget, BodyLimits, large_bodies
from service.rest.guards.cross_site import CrossSite
from service.rest.guards.hosts import Hosts, allowed_hosts
from service.rest.guards.keys import KeyRing
from service.rest.guards.leaving import Leaving
from service.rest.guards.origins import checked_origins
from service.rest.guards.request_ids import RequestIds
from service.rest.guards.request_log import RequestLog
from service.rest.guards.security_headers import SecurityHeaders
from service.settings import ServeSettings


def stack(settings: ServeSettings, observability: Observability, draining: threading.Event) -> list[Middleware]:
    """Everything, with the log.

    Raises:
        InputError: a setting is not what it should be.
    """
    return [
        Middleware(RequestIds),
        Middleware(RequestLog, observability=observability),
        Middleware(Leaving, draining=draining),
        *guards(settings, observability.rejected),
    ]


def guards(settings: ServeSettings, rejected: Callable[[str], None]) -> Sequence[Middleware]:
    """What keeps out who may not come in; the cheapest and the least to be known stand first.

    Args:
        rejected: is told a reason for each request that is refused.

    Raises:
        InputError: see `KeyRing` and `checked_origins`.
    """
    limits = BodyLimits(n_bytes=settings.body_bytes, seconds=settings.body_seconds)
    return (
        Middleware(SecurityHeaders),
        Middleware(CrossSite, origins=checked_origins(settings.cors_origins), rejected=rejected),
        Middleware(Failures),
        Middleware(Hosts, allowed=allowed_hosts(settings), rejected=rejected),
        Middleware(Authentication, keys=KeyRing.from_settings(settings), rejected=rejected),
        Middleware(RequestsAtOnce, limit=settings.requests_at_once, rejected=rejected),
        Middleware(
            Bodies,
            limits=limits,
            large=large_bodies(settings),
            budget=BodyBudget(settings.bodies_bytes),
            rejected=rejected,
        ),
    )
