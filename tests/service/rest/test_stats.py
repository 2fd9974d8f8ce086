from types import SimpleNamespace

import torch
from fastapi import FastAPI

from service.observability.observability import Observability
from service.rest import stats
from service.rest.stats import Stats
from service.runtime import ServedBundle
from service.settings import ServeSettings


def make_app() -> FastAPI:
    detector = SimpleNamespace(
        bundle=SimpleNamespace(conformal=SimpleNamespace(scores=torch.arange(99.0))),
        classifier=SimpleNamespace(device=torch.device("cpu")),
    )
    bundle = ServedBundle(name="toy", digest="0" * 64, detector=detector, preprocessing=None, labels=("cat",))
    app = FastAPI()
    app.include_router(stats.router)
    app.state.runtime = SimpleNamespace(observability=Observability(ServeSettings(), {"toy": bundle}))
    return app


def test_a_server_that_did_nothing_yet_says_so(in_process):
    answer = in_process(make_app()).get("/v1/stats").json()
    assert answer["images_per_second"] == 0
    assert answer["verdicts"] == {"clean": 0, "adversarial": 0, "undecided": 0}
    assert answer["latency_seconds"] == {"p50": None, "p99": None}
    assert answer["images_by_second"] == [0] * 59
    assert answer["queue"] == {"waiting": 0, "computing": 0, "is_ready": False, "is_live": True}
    assert answer["drift"]["toy"]["is_alarmed"] is False


def test_the_example_is_an_answer(in_process):
    example = Stats.model_config["json_schema_extra"]["example"]
    assert Stats.model_validate(example).model_dump() == example
    assert set(example) == set(in_process(make_app()).get("/v1/stats").json())
