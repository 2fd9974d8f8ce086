"""The bodies of the native API, with examples; what the interactive documentation shows and tests hold us to."""

import enum
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from service.engine.work import Priority

EXAMPLE_IMAGE = (
    "iVBORw0KGgoAAAANSUhEUgAAAAgAAAAICAAAAADhZOFXAAAALElEQVR42mNggAJGBoYTDAwMFhDenTsQ+v//KCiDgYGBgYmB4dlzBiQBBAAA"
    "Rs8I3+KWVAEAAAAASUVORK5CYII="
)
"""A grey PNG of 8 × 8 pixels, in base64."""

LONGEST_NAME = 1024
LONGEST_MILLISECONDS = 86_400_000


class PriorityName(enum.StrEnum):
    """Orders the requests of one key."""

    HIGH = "high"
    NORMAL = "normal"
    LOW = "low"

    @property
    def priority(self) -> Priority:
        """As the engine knows it."""
        return Priority[self.name]


class DetectOptions(BaseModel):
    """How images are judged; as query parameters, form fields or JSON members, each given once."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    bundle: str | None = Field(
        default=None, max_length=LONGEST_NAME, description="Name of a served bundle; by default the first."
    )
    false_positive_rate: float | None = Field(
        default=None, gt=0, lt=1, description="Share of clean images that may be flagged; by default the server's."
    )
    pictures: bool = Field(default=False, description="Draw what each image passes on its way to the prototype.")
    profile: bool = Field(default=True, description="Return the cross-entropy along the path, at the bundle's points.")
    priority: PriorityName = Field(
        default=PriorityName.NORMAL, description="Orders the requests of one key among themselves."
    )
    timeout_ms: int | None = Field(
        default=None,
        gt=0,
        le=LONGEST_MILLISECONDS,
        description="Milliseconds until the answer is no use any more; the server has a longest.",
    )


class EncodedImage(BaseModel):
    """An image file in a JSON body."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str | None = Field(default=None, max_length=LONGEST_NAME, description="Comes back as `path`.")
    data: str = Field(description="The file in base64, without line breaks.")


class DetectBody(DetectOptions):
    """The JSON body of a detection."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"images": [{"name": "seven.png", "data": EXAMPLE_IMAGE}]}]}
    )

    images: list[EncodedImage] = Field(min_length=1)


class PathPoint(BaseModel):
    """One picture of a strip.

    `position` goes from 0, the image, to 1, the prototype; `cross_entropy` is the predicted label's, in nats.
    """

    position: float = Field(ge=0, le=1)
    uri: str = Field(description="A PNG as a data URI.")
    cross_entropy: float | None


class Pictures(BaseModel):
    """The lowest path, finely."""

    strip: list[PathPoint]


class Result(BaseModel):
    """One image. What does not apply is null; `error` says why nothing was decided, where nothing was."""

    path: str = Field(description="The file's name.")
    decision: str = Field(description="clean, adversarial or undecided; treat undecided as adversarial.")
    label: int | None = Field(description="What the classifier predicts.")
    label_name: str | None
    score: float | None = Field(description="Higher is more adversarial.")
    p_value: float | None = Field(description="Share of clean calibration images that score at least as high.")
    false_positive_rate: float | None = Field(description="Flagged where the p-value is at most this.")
    barrier: float | None = Field(description="Rise of the cross-entropy along the lowest path, in nats.")
    prototype: int | None = Field(description="Which prototype of the label that path leads to.")
    suspected_label: int | None = Field(description="What a flagged image may truly show.")
    suspected_label_name: str | None
    outcome: str | None
    profile: list[float | None] | None = Field(description="Cross-entropy along that path, in nats.")
    error: str | None
    pictures: Pictures | None


class Timing(BaseModel):
    """Milliseconds of each stage; `total` is from the request's head to its answer."""

    decode: float
    queue: float
    compute: float
    total: float


EXAMPLE_DETECTION: dict[str, Any] = {
    "request_id": "6f1c8f3e5b6b4c0f9e0d6a52b7f6d1aa",
    "bundle": "digits",
    "bundle_digest": "0f5d" * 16,
    "results": [
        {
            "path": "seven.png",
            "decision": "adversarial",
            "label": 3,
            "label_name": "3",
            "score": 4.1,
            "p_value": 0.012,
            "false_positive_rate": 0.05,
            "barrier": 0.93,
            "prototype": 2,
            "suspected_label": 7,
            "suspected_label_name": "7",
            "outcome": "decided",
            "profile": [0.71, 1.64, 0.2, 0.01],
            "error": None,
            "pictures": None,
        }
    ],
    "timing_ms": {"decode": 0.4, "queue": 0.1, "compute": 6.2, "total": 7.1},
}


class DetectResponse(BaseModel):
    """Verdicts in the order of the images."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE_DETECTION]})

    request_id: str
    bundle: str
    bundle_digest: str = Field(description="sha256 over the bundle's files.")
    results: list[Result]
    timing_ms: Timing


class BundleDescription(BaseModel):
    """A bundle that is served."""

    name: str
    digest: str = Field(description="sha256 over the bundle's files.")
    is_default: bool
    classifier: str
    classifier_digest: str
    labels: list[str]
    input_shape: tuple[int, int, int] = Field(description="Channels, height, width.")
    preprocessing: dict[str, Any]
    false_positive_rate: float = Field(description="Of requests that do not say.")
    smallest_false_positive_rate: float = Field(description="What the calibration images support.")
    n_calibration: int = Field(description="Clean images that p-values compare with.")
    forward_equivalents: float = Field(description="Forward passes of one verdict, on average.")
    profile_positions: list[float] = Field(description="Where, from 0 to 1, the values of a profile stand.")
    measured: dict[str, float | None] = Field(description="Figures of the calibration, by name.")
    created: str


class BundleList(BaseModel):
    """All bundles, the default first."""

    bundles: list[BundleDescription]


class ErrorBody(BaseModel):
    """Why there is no answer."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"error": "the file is empty; an image was expected"}]})

    error: str


_ERRORS = {
    400: "The request makes no sense; the message says what was expected.",
    401: "A key is needed, or this one is not known.",
    404: "There is nothing of that name.",
    408: "The body did not come in time.",
    413: "The body, an image, or the number of them is too large.",
    415: "The body is in a form that is not spoken here.",
    429: "Every place is taken; come again after `Retry-After` seconds.",
    503: "The device cannot compute now.",
    504: "The time that the request gave was up.",
}


def error_responses(*codes: int) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route that may fail so."""
    return {code: {"model": ErrorBody, "description": _ERRORS[code]} for code in codes}


def inlined(model: type[BaseModel]) -> dict[str, Any]:
    """The JSON schema of a model without references, for places where no component can be referred to."""
    schema = model.model_json_schema()
    definitions = schema.pop("$defs", {})

    def resolved(node: Any) -> Any:
        if isinstance(node, list):
            return [resolved(item) for item in node]
        if not isinstance(node, dict):
            return node
        if "$ref" in node:
            return resolved(
                definitions[node["$ref"].rpartition("/")[2]] | {k: v for k, v in node.items() if k != "$ref"}
            )
        return {key: resolved(value) for key, value in node.items()}

    return dict(resolved(schema))
