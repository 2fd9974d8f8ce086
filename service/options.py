"""Options that several commands share, and the closed sets among them.

Nothing here imports torch: these are read when a user asks for help.
"""

import enum
from pathlib import Path
from typing import Annotated

import typer

DEFAULT_BUNDLE = "cifar10-resnet20"

IMAGE_SET = (
    "A folder of class folders, an .npz, a Parquet file, cifar10:train, cifar10:test, digits:train, digits:held-out."
)


class PresetName(enum.StrEnum):
    """The detector's presets, by their names."""

    FAST = "fast"
    DEFAULT = "default"
    THOROUGH = "thorough"


class PrototypeName(enum.StrEnum):
    """The kinds of prototypes that the detector makes when asked, by their names."""

    REAL = "real"
    MEDOID = "medoid"
    FEATURE_VISUALISED = "feature-visualised"
    STAR = "star"
    LEARNED = "learned"
    NOISE = "noise"
    GREY = "grey"
    OTHER_LABEL = "other-label"
    NONE = "none"


class LabelChoice(enum.StrEnum):
    """The detector's choices of labels that get prototypes, by their names."""

    WITH_IMAGES = "with-images"
    ALL = "all"


class SearchMethod(enum.StrEnum):
    """The detector's methods of search, by their names."""

    BYPASS = "bypass"
    RECURSIVE_BYPASS = "recursive-bypass"
    CHAIN = "chain"
    BEZIER = "bezier"
    NEB = "neb"
    AUTO_NEB = "auto-neb"


class FirstLook(enum.StrEnum):
    """What a detector's first look may take in besides the image, by its names."""

    AUXILIARY = "auxiliary"
    SMOOTHED = "smoothed"


class SearchedPotential(enum.StrEnum):
    """The detector's potentials, by their names."""

    CROSS_ENTROPY = "cross-entropy"
    LOG_CROSS_ENTROPY = "log-cross-entropy"
    MARGIN = "margin"
    REPRESENTATION = "representation"


class ProxyFamily(enum.StrEnum):
    """What calibration attacks the classifier with, by name.

    Confidence-matched proxies follow the gradient and are made unless one of the last two is named, which stand alone;
    adaptive ones are made besides.
    """

    MATCHED = "matched"
    ADAPTIVE = "adaptive"
    BLACK_BOX = "black-box"
    NONE = "none"


class SmoothingName(enum.StrEnum):
    """Smoothed versions of an image that are looked at, by name."""

    MEDIAN = "median"
    GAUSSIAN = "gaussian"
    NONE = "none"


class RuntimeName(enum.StrEnum):
    """What computes straight paths, by name.

    PyTorch in float32 is what bundles are calibrated with. TORCH_GRAPHS replays it as CUDA graphs; the two in half
    precision do so too where there is a GPU.
    """

    TORCH = "torch"
    TORCH_GRAPHS = "torch-graphs"
    TORCH_BFLOAT16 = "torch-bfloat16"
    TORCH_FLOAT16 = "torch-float16"
    ONNXRUNTIME = "onnxruntime"


class FailOn(enum.StrEnum):
    """What a verdict must be for the command to fail."""

    ADVERSARIAL = "adversarial"


class AuditEngine(enum.StrEnum):
    """What has the shards of an audit judged: this process, or the workers of a Ray cluster."""

    EMBEDDED = "embedded"
    RAY = "ray"


class AuditFailOn(enum.StrEnum):
    """What an audit must find for the command to fail."""

    FLAGGED = "flagged"
    DISCOVERIES = "discoveries"
    UNREADABLE = "unreadable"


class DemoData(enum.StrEnum):
    """What the demonstration runs on."""

    DIGITS = "digits"
    CIFAR10 = "cifar10"


Device = Annotated[
    str | None,
    typer.Option("--device", help="cpu, cuda, cuda:1 …; by default CUDA where there is one.", show_default=False),
]
Runtime = Annotated[
    RuntimeName,
    typer.Option(
        "--runtime",
        help="What computes paths: torch, as the bundle was calibrated; its CUDA graphs, half precision, or "
        "onnxruntime, which needs the extra onnx and is slower where a bundle searches.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Write JSON to stdout, and nothing else.")]
Seed = Annotated[int, typer.Option("--seed", min=0, help="One seed gives one result.")]
Limit = Annotated[int, typer.Option("--limit", min=1, help="Clean images that each attack is run on.")]
Download = Annotated[bool, typer.Option("--download", help="Allow cifar10 to be fetched from the internet.")]
Bundle = Annotated[
    str, typer.Option("--bundle", metavar="BUNDLE", help="A bundle's folder, or the name of a shipped one.")
]
FalsePositiveRate = Annotated[
    float,
    typer.Option("--false-positive-rate", help="Share of clean images that may be flagged, between 0 and 1."),
]
ClassifierSpec = Annotated[
    str | None,
    typer.Option(
        "--classifier",
        metavar="NAME|SPEC.toml",
        help="By default the one named in the bundle; a SPEC.toml must be given again.",
        show_default=False,
    ),
]
Weights = Annotated[
    Path | None,
    typer.Option(
        "--weights", metavar="FILE", help="A weight file in place of the classifier's own.", show_default=False
    ),
]
Auxiliary = Annotated[
    str | None,
    typer.Option(
        "--auxiliary",
        metavar="NAME|SPEC.toml",
        help="The bundle's auxiliary classifier; by default the one named in it, if it has one.",
        show_default=False,
    ),
]
