"""The bodies of audits and feedback."""

import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from service.audits.feedback_store import Feedback
from service.audits.store import Audit, Kind, State
from service.rest.schemas import EXAMPLE_IMAGE, LONGEST_NAME

LONGEST_PATH = 4096
LONGEST_NOTE = 2000


class AuditOptions(BaseModel):
    """How files are judged."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    bundle: str | None = Field(
        default=None, max_length=LONGEST_NAME, description="Name of a served bundle; by default the first."
    )
    false_positive_rate: float | None = Field(
        default=None, gt=0, lt=1, description="Share of clean images that may be flagged; by default the server's."
    )


class FolderBody(AuditOptions):
    """An audit of a folder on the server."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"folder": "/srv/uploads", "bundle": "digits"}]})

    folder: str = Field(
        min_length=1, max_length=LONGEST_PATH, description="Absolute path below a folder that may be audited."
    )


class AuditCounts(BaseModel):
    """Files, by what became of them; `judged` are those with a verdict, and `judged + errors` those that are done."""

    files: int | None = Field(description="Null until they are listed.")
    skipped: int = Field(description="Files that are no images by their names; no result stands for them.")
    judged: int
    flagged: int
    undecided: int
    errors: int = Field(description="Files that could not be judged; their results say why.")


class AuditDescription(BaseModel):
    """How far an audit has come."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": "2f1d" * 8,
                    "state": "running",
                    "kind": "folder",
                    "source": "/srv/uploads",
                    "bundle": "digits",
                    "bundle_digest": "0f5d" * 16,
                    "false_positive_rate": 0.05,
                    "error": None,
                    "can_resume": False,
                    "created": "2026-01-31T12:00:00+00:00",
                    "finished": None,
                    "counts": {"files": 1000, "skipped": 2, "judged": 640, "flagged": 31, "undecided": 0, "errors": 1},
                    "images_per_second": 210.5,
                    "eta_seconds": 1.7,
                }
            ]
        }
    )

    id: str
    state: State = Field(description="queued, running, done or failed; deleted ones are not there any more.")
    kind: Kind
    source: str = Field(description="The folder, or the name of the archive.")
    bundle: str
    bundle_digest: str
    false_positive_rate: float
    error: str | None = Field(description="Why it failed.")
    can_resume: bool = Field(description="Whether it can be queued again once what failed is put right.")
    created: datetime.datetime
    finished: datetime.datetime | None
    counts: AuditCounts
    images_per_second: float | None
    eta_seconds: float | None


class AuditList(BaseModel):
    """Audits, the newest first."""

    audits: list[AuditDescription]


class FeedbackBody(BaseModel):
    """What is right of a verdict that was wrong."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        json_schema_extra={
            "examples": [
                {
                    "request_id": "6f1c8f3e5b6b4c0f9e0d6a52b7f6d1aa",
                    "index": 0,
                    "correct_decision": "clean",
                    "correct_label": "7",
                    "note": "a seven with a bar",
                    "image": EXAMPLE_IMAGE,
                }
            ]
        },
    )

    request_id: str = Field(min_length=1, max_length=LONGEST_NAME, description="Of the request that was answered.")
    index: int = Field(ge=0, le=2**31, strict=True, description="Which of its images; 0 is the first.")
    correct_decision: str = Field(pattern="^(clean|adversarial)$")
    # A string is a name, of digits, too; a number is an index.
    correct_label: int | str | None = Field(default=None, description="Name or index of what the image truly shows.")
    note: str | None = Field(default=None, max_length=LONGEST_NOTE)
    image: str | None = Field(
        default=None, description="The image file in base64, so that it can be exported; the one that was judged."
    )


class FeedbackDescription(BaseModel):
    """Feedback as it is kept."""

    id: str
    request_id: str
    index: int
    bundle: str
    bundle_digest: str
    image_digest: str
    correct_decision: str
    correct_label: int | None
    correct_label_name: str | None
    note: str | None
    has_image: bool
    created: datetime.datetime
    verdict: dict[str, Any] = Field(description="The result that was wrong.")


def describe_audit(audit: Audit) -> AuditDescription:
    """An audit for whoever asked for it."""
    n_done = audit.n_judged + audit.n_errors
    rate = n_done / audit.seconds if audit.seconds > 0 else None
    left = None if audit.n_files is None or audit.state is not State.RUNNING else audit.n_files - n_done
    return AuditDescription(
        id=audit.id,
        state=audit.state,
        kind=audit.kind,
        source=audit.source,
        bundle=audit.bundle,
        bundle_digest=audit.bundle_digest,
        false_positive_rate=audit.false_positive_rate,
        error=audit.error,
        can_resume=audit.can_resume,
        created=_time(audit.created),
        finished=None if audit.finished is None else _time(audit.finished),
        counts=AuditCounts(
            files=audit.n_files,
            skipped=audit.n_skipped,
            judged=audit.n_judged,
            flagged=audit.n_flagged,
            undecided=audit.n_undecided,
            errors=audit.n_errors,
        ),
        images_per_second=rate,
        eta_seconds=left / rate if left is not None and rate else None,
    )


def describe_feedback(feedback: Feedback, labels: tuple[str, ...]) -> FeedbackDescription:
    """Feedback for whoever gave it; `labels` are the bundle's, or none where it is not served any more."""
    label = feedback.correct_label
    return FeedbackDescription(
        id=feedback.id,
        request_id=feedback.request_id,
        index=feedback.position,
        bundle=feedback.bundle,
        bundle_digest=feedback.bundle_digest,
        image_digest=feedback.image_digest,
        correct_decision=feedback.correct_decision.value,
        correct_label=label,
        correct_label_name=labels[label] if label is not None and label < len(labels) else None,
        note=feedback.note,
        has_image=feedback.image is not None,
        created=_time(feedback.created),
        verdict=feedback.record,
    )


def _time(seconds: float) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC)
