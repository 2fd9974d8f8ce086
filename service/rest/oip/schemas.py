"""The bodies of the Open Inference Protocol; they read requests and describe the API alike.

Source: https://github.com/open-inference/open-inference-protocol, the REST specification.
"""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from service.rest.schemas import EXAMPLE_IMAGE

Parameters = dict[str, Any]


class Body(BaseModel):
    """Types as JSON has them: no string is taken for a number, and what is not known is passed over."""

    model_config = ConfigDict(strict=True, frozen=True, protected_namespaces=())


class RequestInput(Body):
    """An image tensor: `image` (BYTES, encoded files) or `pixels` (FP32 in [0, 1] or UINT8, as the classifier sees)."""

    name: str = Field(json_schema_extra={"enum": ["image", "pixels"]})
    shape: list[int] = Field(description="`[n]` of `image`, `[n, channels, height, width]` of `pixels`.")
    datatype: str = Field(
        description="BYTES of `image`; FP32 or UINT8 of `pixels`.",
        json_schema_extra={"enum": ["BYTES", "FP32", "UINT8"]},
    )
    parameters: Parameters | None = Field(
        default=None, description="`binary_data_size`: bytes behind the JSON. `content_type`: only `base64`."
    )
    data: list[Any] | None = Field(
        default=None, description="Flat or nested; strings are base64. Not there where `binary_data_size` is."
    )


class RequestOutput(Body):
    """An output that is wanted."""

    name: str
    parameters: Parameters | None = Field(default=None, description="`binary_data`: whether to send it raw.")


class InferenceRequest(Body):
    """Images to be judged."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": "42",
                    "parameters": {"false_positive_rate": 0.01, "timeout": 500_000, "priority": 1},
                    "inputs": [
                        {
                            "name": "image",
                            "shape": [1],
                            "datatype": "BYTES",
                            "parameters": {"content_type": "base64"},
                            "data": [EXAMPLE_IMAGE],
                        }
                    ],
                    "outputs": [{"name": "verdict"}, {"name": "p_value"}],
                }
            ]
        }
    )

    id: str | None = Field(default=None, description="Comes back with the answer.")
    parameters: Parameters | None = Field(
        default=None,
        description=(
            "`timeout` in microseconds, `priority` (0 the default, 1 high, 2 normal, from 3 on low), "
            "`false_positive_rate`, `binary_data_output`; others are passed over."
        ),
    )
    inputs: Annotated[list[RequestInput], Field(min_length=1, max_length=1, description="Exactly one.")]
    outputs: list[RequestOutput] | None = Field(default=None, description="Those that are wanted; by default all.")


class ResponseOutput(Body):
    """One value an image."""

    name: str
    shape: list[int]
    datatype: str
    parameters: Parameters | None = Field(default=None, description="`binary_data_size` where it is sent raw.")
    data: list[bool | int | float | str | None] | None = Field(
        default=None, description="Null where a number does not exist, as for an image that could not be judged."
    )


class InferenceResponse(Body):
    """What became of the images, in their order."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "model_name": "digits",
                    "model_version": "1",
                    "id": "42",
                    "parameters": {"bundle_digest": "9f…", "false_positive_rate": 0.01},
                    "outputs": [
                        {"name": "verdict", "shape": [1], "datatype": "BYTES", "data": ["clean"]},
                        {"name": "p_value", "shape": [1], "datatype": "FP32", "data": [0.5]},
                    ],
                }
            ]
        }
    )

    model_name: str
    model_version: str
    id: str | None = None
    parameters: Parameters | None = None
    outputs: list[ResponseOutput]


class MetadataTensor(Body):
    """A tensor that a model takes or gives; −1 is any length."""

    name: str
    datatype: str
    shape: list[int]


class ModelMetadata(Body):
    """A bundle as the protocol sees it."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[MetadataTensor] = Field(description="A request has exactly one of them.")
    outputs: list[MetadataTensor]
    properties: dict[str, str]


class ModelNames(Body):
    """The bundles that are served, the default first."""

    models: list[str]


class ModelReady(Body):
    """Whether a bundle can judge now."""

    name: str
    ready: bool


class ServerMetadata(Body):
    """The server and what it speaks."""

    name: str
    version: str
    extensions: list[str]
