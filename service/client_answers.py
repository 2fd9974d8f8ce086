"""The answers of the service, as its clients give them; what a newer server says besides is left out."""

import dataclasses
from collections.abc import Mapping
from typing import Any, Self

Parsed = Mapping[str, Any]


class IsthmusError(Exception):
    """The service gave no answer, or an error.

    Attributes:
        status: of the response; None where none came.
    """

    def __init__(self, message: str, *, status: int | None) -> None:
        super().__init__(message if status is None else f"{status}: {message}")
        self.message = message
        self.status = status


@dataclasses.dataclass(frozen=True, kw_only=True)
class PathPoint:
    """A picture on the way from the image, at position 0, to the prototype, at 1; cross-entropy in nats."""

    position: float
    uri: str
    cross_entropy: float | None

    @classmethod
    def parse(cls, content: Parsed) -> Self:
        return cls(**_known(cls, content))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Result:
    """One image, judged; the fields are those of every record of this detector.

    Attributes:
        path: the file's name.
        decision: `clean`, `adversarial` or `undecided`; treat undecided as adversarial.
        error: why nothing was decided, where nothing was.
        strip: pictures along the lowest path, where they were asked for.
    """

    path: str
    decision: str
    label: int | None
    label_name: str | None
    score: float | None
    p_value: float | None
    false_positive_rate: float | None
    barrier: float | None
    prototype: int | None
    suspected_label: int | None
    suspected_label_name: str | None
    outcome: str | None
    profile: tuple[float | None, ...] | None
    error: str | None
    strip: tuple[PathPoint, ...] = ()

    @classmethod
    def parse(cls, content: Parsed) -> Self:
        known = _known(cls, content)
        if known["profile"] is not None:
            known["profile"] = tuple(known["profile"])
        pictures = content.get("pictures") or {"strip": ()}
        return cls(**known | {"strip": tuple(PathPoint.parse(point) for point in pictures["strip"])})


@dataclasses.dataclass(frozen=True, kw_only=True)
class Timing:
    """Milliseconds that each stage took on the server."""

    decode: float
    queue: float
    compute: float
    total: float

    @classmethod
    def parse(cls, content: Parsed) -> Self:
        return cls(**_known(cls, content))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Detection:
    """The answer to one request, results in the order of its images."""

    request_id: str
    bundle: str
    bundle_digest: str
    results: tuple[Result, ...]
    timing: Timing

    @classmethod
    def parse(cls, content: Parsed) -> Self:
        return cls(
            request_id=content["request_id"],
            bundle=content["bundle"],
            bundle_digest=content["bundle_digest"],
            results=tuple(Result.parse(result) for result in content["results"]),
            timing=Timing.parse(content["timing_ms"]),
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class BundleInfo:
    """A bundle that is served.

    Attributes:
        input_shape: channels, height, width.
        false_positive_rate: of requests that do not say.
        smallest_false_positive_rate: what its calibration images support.
        document: everything that the server says of it.
    """

    name: str
    digest: str
    classifier: str
    labels: tuple[str, ...]
    input_shape: tuple[int, ...]
    false_positive_rate: float
    smallest_false_positive_rate: float
    document: Parsed

    @classmethod
    def parse(cls, content: Parsed) -> Self:
        known = _known(cls, dict(content) | {"document": content})
        return cls(**known | {name: tuple(known[name]) for name in ("labels", "input_shape")})


@dataclasses.dataclass(frozen=True, kw_only=True)
class Audit:
    """A long job.

    Attributes:
        state: `queued`, `running`, `done` or `failed`.
        document: everything that the server says of it, its counts too.
    """

    id: str
    state: str
    document: Parsed

    @classmethod
    def parse(cls, content: Parsed) -> Self:
        return cls(**_known(cls, dict(content) | {"document": content}))


def _known(kind: type, content: Parsed) -> dict[str, Any]:
    """The members that are fields; a missing one is noticed where it is needed."""
    return {field.name: content[field.name] for field in dataclasses.fields(kind) if field.name in content}
