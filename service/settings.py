"""The settings of the server, in one table: a flag of `isthmus serve`, an environment variable and a field are one.

The field `queue_images` is the flag `--queue-images` and the variable `ISTHMUS_QUEUE_IMAGES`. Flags win over variables.
Nothing here imports torch.
"""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, PositiveFloat, PositiveInt, SecretStr, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

MIB = 2**20

ANONYMOUS = "anonymous"
"""Whoever asks where no keys are needed."""


class ServeSettings(BaseSettings):
    """Everything that an operator may set."""

    model_config = SettingsConfigDict(
        env_prefix="ISTHMUS_",
        env_ignore_empty=True,
        allow_inf_nan=False,
        frozen=True,
        extra="forbid",
        populate_by_name=True,
    )

    bundles: Annotated[tuple[str, ...], NoDecode] = Field(
        default=("cifar10-resnet20",),
        description="Bundles to serve: names of shipped ones, folders, or NAME=FOLDER; the first is the default.",
    )
    classifiers: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(), description="Classifiers of bundles for none of ours: NAME=SPEC.toml, or SPEC.toml for all."
    )
    auxiliary_classifiers: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(), description="Their auxiliary classifiers: NAME=SPEC.toml, or SPEC.toml for all."
    )
    host: str = Field(default="127.0.0.1", description="Address to listen on; beyond loopback keys are needed.")
    port: int = Field(default=8080, ge=0, le=65535, description="Port to listen on; 0 takes a free one.")
    metrics_port: int | None = Field(
        default=None, ge=0, le=65535, description="Serve /metrics on a port of its own, without a key, instead."
    )
    device: str | None = Field(default=None, description="cpu, cuda, cuda:1 …; by default CUDA where there is one.")
    runtime: Literal["torch", "torch-graphs", "torch-bfloat16", "torch-float16", "onnxruntime"] = Field(
        default="torch",
        description="What computes straight paths: torch, its graphs or half precision, or onnxruntime (extra onnx).",
    )
    threads: PositiveInt | None = Field(default=None, description="Threads of one computation; by default one.")
    false_positive_rate: float = Field(
        default=0.05, gt=0, lt=1, description="Share of clean images that may be flagged, unless a request says."
    )
    # Behaviour under load
    queue_images: PositiveInt = Field(default=512, description="Images that may wait or be computed at once.")
    batch_images: PositiveInt | None = Field(default=None, description="Images of one step; by default one pass.")
    requests_at_once: PositiveInt = Field(default=1024, description="Requests that may be read or answered at once.")
    request_seconds: PositiveFloat = Field(default=10.0, description="Time a request has, unless it says less.")
    longest_request_seconds: PositiveFloat = Field(default=60.0, description="The most time that a request may ask.")
    body_seconds: PositiveFloat = Field(default=30.0, description="Time in which a body must have come in.")
    step_seconds: PositiveFloat = Field(default=60.0, description="A step that takes longer counts as hung.")
    drain_seconds: float = Field(
        default=2.0, ge=0, description="After SIGTERM, how long not to be ready before no more is accepted."
    )
    shutdown_seconds: PositiveFloat = Field(default=60.0, description="Time for accepted work after that.")
    decoding_threads: PositiveInt = Field(default=2, description="Threads that decode images.")
    # Caps
    body_bytes: PositiveInt = Field(default=32 * MIB, description="Largest body, before and after decompression.")
    bodies_bytes: PositiveInt = Field(default=256 * MIB, description="All bodies in memory at once.")
    image_bytes: PositiveInt = Field(default=16 * MIB, description="Largest encoded image.")
    image_pixels: PositiveInt = Field(default=50_000_000, description="Largest width × height of an image.")
    files: PositiveInt = Field(default=64, description="Images of one request.")
    json_depth: PositiveInt = Field(default=32, description="Deepest nesting of a JSON body.")
    archive_bytes: PositiveInt = Field(default=1024 * MIB, description="Largest archive of an audit, as it comes.")
    archive_files: PositiveInt = Field(default=100_000, description="Files in one archive.")
    unpacked_bytes: PositiveInt = Field(default=8192 * MIB, description="Largest archive of an audit, unpacked.")
    # Security
    keys: SecretStr | None = Field(
        default=None, description="Bearer keys, ID:KEY separated by commas or lines; better in a file."
    )
    keys_file: Path | None = Field(default=None, description="A file of bearer keys, ID:KEY a line; read when changed.")
    allowed_hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(), description="Values of the Host header to answer; without keys only loopback names by default."
    )
    cors_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(), description="Origins whose pages may call; by default none."
    )
    tls_certificate: Path | None = Field(default=None, description="PEM file of the certificate chain.")
    tls_key: Path | None = Field(default=None, description="PEM file of its private key.")
    log_images: bool = Field(default=False, description="Keep images of verdicts for feedback; by default digests.")
    # State
    state: Path | None = Field(
        default=None, description="Folder of audits and feedback; by default $XDG_STATE_HOME/isthmus."
    )
    audit_folders: Annotated[tuple[Path, ...], NoDecode] = Field(
        default=(), description="Folders below which audits may read; by default none."
    )
    # Observability
    log_format: Literal["json", "text"] = Field(default="json", description="json, or text for people.")
    log_level: Literal["debug", "info", "warning", "error"] = Field(default="info", description="debug … error.")
    otlp_endpoint: str | None = Field(default=None, description="OpenTelemetry collector; traces go nowhere else.")
    drift_false_alarms: PositiveFloat = Field(
        default=1_000_000.0, description="Clean images between two false drift alarms, on average at least."
    )
    remembered_verdicts: PositiveInt = Field(default=10_000, description="Verdicts that feedback can still name.")

    @field_validator(
        "bundles",
        "classifiers",
        "auxiliary_classifiers",
        "allowed_hosts",
        "cors_origins",
        "audit_folders",
        mode="before",
    )
    @classmethod
    def split(cls, value: Any) -> Any:
        """A variable holds several values between commas; a flag is given several times."""
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @property
    def needs_keys(self) -> bool:
        """Whether requests come with a key."""
        return self.keys is not None or self.keys_file is not None
