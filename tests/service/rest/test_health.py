import dataclasses
import threading

import pytest
from fastapi import FastAPI

from service.rest import health


@dataclasses.dataclass
class Engine:
    is_ready: bool = True
    is_live: bool = True


@dataclasses.dataclass
class Runtime:
    engine: Engine
    draining: threading.Event

    @property
    def is_ready(self):
        return self.engine.is_ready and not self.draining.is_set()


@pytest.mark.parametrize(
    ("is_ready", "is_live", "is_draining", "live", "ready"),
    [
        (True, True, False, 200, 200),
        (False, True, False, 200, 503),
        (True, True, True, 200, 503),
        (False, False, False, 503, 503),
        (True, False, False, 503, 503),
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_health_says_both_whichever_is_asked(ask, is_ready, is_live, is_draining, live, ready, method):
    app = FastAPI()
    app.include_router(health.router)
    app.state.runtime = Runtime(Engine(is_ready, is_live), threading.Event())
    if is_draining:
        app.state.runtime.draining.set()
    for path, status in (("/v2/health/live", live), ("/v2/health/ready", ready)):
        reply = ask(app, path, method)
        assert reply.status == status
        assert reply.json() == {"live": live == 200, "ready": ready == 200}


def test_health_is_described_once_for_each_path():
    app = FastAPI()
    app.include_router(health.router)
    paths = app.openapi()["paths"]
    assert {path: list(operations) for path, operations in paths.items()} == {
        "/v2/health/live": ["get"],
        "/v2/health/ready": ["get"],
    }
