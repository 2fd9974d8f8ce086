"""GET /v1/stats: the last minute, for the page."""

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field

from service.runtime import Runtime

router = APIRouter(tags=["observability"])


class Latency(BaseModel):
    """Seconds from a request for verdicts to the end of its answer; null without any. At most a tenth too high."""

    p50: float | None
    p99: float | None


class Queue(BaseModel):
    """What the engine has in hand."""

    waiting: int = Field(description="Images that wait for the device.")
    computing: int = Field(description="Images on the device.")
    is_ready: bool
    is_live: bool


class Drift(BaseModel):
    """The drift test of one bundle."""

    evidence: float = Field(description="Decimal logarithm of the evidence against clean traffic.")
    threshold: float = Field(description="The alarm goes off when the evidence reaches it.")
    is_alarmed: bool
    n_alarms: int = Field(description="Alarms since the start.")
    n_images: int = Field(description="Images taken in since the start.")


class Stats(BaseModel):
    """The last minute, or the time since the start where that is shorter."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "seconds": 59.4,
                "images_per_second": 12.5,
                "requests_per_second": 12.5,
                "rejected_per_second": 0.0,
                "verdicts": {"clean": 700, "adversarial": 42, "undecided": 0},
                "shares": {"clean": 0.9434, "adversarial": 0.0566, "undecided": 0.0},
                "latency_seconds": {"p50": 0.031, "p99": 0.09},
                "images_by_second": [12] * 59,
                "queue": {"waiting": 3, "computing": 8, "is_ready": True, "is_live": True},
                "drift": {
                    "cifar10-resnet20": {
                        "evidence": 0.4,
                        "threshold": 6.0,
                        "is_alarmed": False,
                        "n_alarms": 0,
                        "n_images": 742,
                    }
                },
            }
        }
    )

    seconds: float = Field(description="Length of the time that is looked at.")
    images_per_second: float
    requests_per_second: float = Field(description="Requests for verdicts that were answered.")
    rejected_per_second: float
    verdicts: dict[str, int] = Field(description="Images by decision.")
    shares: dict[str, float | None] = Field(description="The same as fractions; null without images.")
    latency_seconds: Latency
    images_by_second: list[int] = Field(description="Images judged in each full second; the latest is the last.")
    queue: Queue
    drift: dict[str, Drift] = Field(description="By bundle.")


@router.get("/v1/stats", operation_id="stats", summary="What happened within the last minute")
def stats(request: Request) -> Stats:
    """Throughput, queue, verdicts, latencies and drift."""
    runtime: Runtime = request.app.state.runtime
    return Stats.model_validate(runtime.observability.stats())
