"""Before any load: whether the server is there, knows the key and takes the images, and how far away it is."""

import dataclasses
import json
import time

from isthmus_load.errors import UsageError
from isthmus_load.figures import quantile
from isthmus_load.inputs import health_request
from isthmus_load.wire import BROKEN, NOBODY, Answer, Connection, Target

LOOKS = 20

REASONS = {
    401: "the service does not know the key: give --key-file with a line ID:KEY of its own",
    403: "the service, or a proxy before it, refuses this client",
    404: "there is no such route or bundle: look at --url and --bundle",
    413: "the request is too large for the service",
    415: "the service does not take such images",
    421: "the service does not answer to this name: serve it with --allowed-host",
    429: "the service is full already, without any load of ours",
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class FirstLook:
    """Times without load, in milliseconds at the median.

    Attributes:
        round_trip_ms: to the liveness route and back.
        lone_ms: of a request for verdicts that has the service to itself.
    """

    round_trip_ms: float
    lone_ms: float


async def first_look(target: Target, request: bytes) -> FirstLook:
    """Ask a few lone questions.

    Raises:
        UsageError: nobody answers, the service is not ready, or it refuses the request.
    """
    connection = Connection(target)
    try:
        return await _look(target, connection, request)
    finally:
        await connection.close()


async def _look(target: Target, connection: Connection, request: bytes) -> FirstLook:
    ready = await connection.answer(health_request(target, "ready"))
    if ready.status != 200:
        raise UsageError(_not_ready(target, ready))
    trips, lone = [], []
    for _ in range(LOOKS):
        trips.append(await _timed(connection, health_request(target, "live")))
        lone.append(await _timed(connection, request))
    return FirstLook(round_trip_ms=1e3 * quantile(trips, 0.5), lone_ms=1e3 * quantile(lone, 0.5))


async def _timed(connection: Connection, request: bytes) -> float:
    begun = time.perf_counter()
    answer = await connection.answer(request)
    if answer.status != 200:
        reason = REASONS.get(answer.status, "a lone request is not answered with 200")
        raise UsageError(f"{reason} (status {answer.status}: {_said(answer)})")
    return time.perf_counter() - begun


def _not_ready(target: Target, answer: Answer) -> str:
    where = f"{target.host}:{target.port}"
    if answer.status == NOBODY:
        return f"nobody answers at {where}: {_said(answer)}"
    if answer.status == BROKEN:
        return f"what listens at {where} does not answer in HTTP{'' if target.tls else '; does it want https?'}"
    if answer.status == 503:
        return f"the service at {where} is not ready (it warms up, drains, or its device failed)"
    return f"no isthmus at {where}{target.path}: /v2/health/ready answers {answer.status}"


def _said(answer: Answer) -> str:
    try:
        text = json.loads(answer.body)["error"]
    except (ValueError, KeyError, TypeError):
        text = answer.body.decode("utf-8", "replace")
    return " ".join(str(text).split())[:200]
