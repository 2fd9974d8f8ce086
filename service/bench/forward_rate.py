"""How fast the bare classifier runs: the roof over every detector that asks it several times an image."""

import dataclasses
import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Generator, Tensor, nn

from detector.acceleration import AccelerationSettings
from detector.half_precision import Precision
from detector.onnx_export.exporting import PIXELS, export_onnx
from detector.passes import waypoints_per_pass
from detector.types import ProgressCallback, no_progress
from models.classifier import Classifier
from service.bench.contenders import Opened, open_bare
from service.bundles import ACCELERATIONS
from service.options import RuntimeName

CPU_SHARES = (1 / 16, 1 / 8, 1 / 4, 1 / 2, 1.0)
"""Of `PIXELS_PER_PASS`: the roof is the best of passes of these sizes."""
CUDA_SHARES = (1.0, 2.0, 4.0, 8.0, 16.0)
"""A GPU likes larger ones."""

Act = Callable[[], None]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Forward:
    """One way of running the bare classifier.

    Attributes:
        n_images: of one pass.
        layout: how the pixels of its input lie in memory.
        run: does one pass.
    """

    n_images: int
    layout: str
    run: Act


@dataclasses.dataclass(frozen=True, kw_only=True)
class ForwardRate:
    """The best way of running the bare classifier.

    Attributes:
        seconds: an image, one entry a round.
        spread: interquartile range ÷ median of them.
    """

    n_images: int
    layout: str
    seconds: tuple[float, ...]
    spread: float | None

    @property
    def images_per_second(self) -> float:
        """The median over the rounds."""
        return 1 / statistics.median(self.seconds)


def batch_sizes(input_shape: tuple[int, int, int], device: torch.device) -> tuple[int, ...]:
    """Sizes of passes that are tried, ascending."""
    own = waypoints_per_pass(input_shape)
    shares = CUDA_SHARES if device.type == "cuda" else CPU_SHARES
    return tuple(sorted({max(1, round(share * own)) for share in shares}))


def forwards_of(opened: Opened, progress: ProgressCallback = no_progress) -> list[Forward]:
    """Every way that is tried, in the contender's own runtime.

    Raises:
        ModelError: the runtime is not installed, or does not serve the device.
        ExportError: the classifier is no graph.
    """
    if opened.contender.runtime is RuntimeName.ONNXRUNTIME:
        return _in_onnx_runtime(opened, progress)
    acceleration = ACCELERATIONS.get(opened.contender.runtime, AccelerationSettings())
    return _in_torch(opened.classifier, acceleration.precision)


def _in_torch(classifier: Classifier, precision: Precision) -> list[Forward]:
    """Without CUDA graphs: passes of the larger sizes keep a GPU busy as they are."""
    found = []
    for n_images in batch_sizes(classifier.input_shape, classifier.device):
        pixels = _pixels(classifier, n_images)
        for layout, laid in (("contiguous", pixels), ("channels last", channels_last(pixels))):
            found.append(Forward(n_images=n_images, layout=layout, run=_torch_pass(classifier, laid, precision)))
    return found


def _torch_pass(classifier: Classifier, pixels: Tensor, precision: Precision) -> Act:
    is_half = precision is not Precision.FLOAT32

    def run() -> None:
        with torch.no_grad(), torch.autocast(pixels.device.type, precision.dtype, enabled=is_half):
            classifier(pixels)
        wait_for(classifier.device)

    return run


def _in_onnx_runtime(opened: Opened, progress: ProgressCallback) -> list[Forward]:
    from models.onnx_files.sessions import open_session  # noqa: PLC0415

    classifier = opened.classifier
    # Weights are read by the exporter where they lie in ordinary memory.
    session = open_session(bare_graph(_on_cpu(opened), progress), classifier.device)
    return [
        Forward(n_images=n_images, layout="contiguous", run=_session_pass(session, _pixels(classifier, n_images)))
        for n_images in batch_sizes(classifier.input_shape, classifier.device)
    ]


def _on_cpu(opened: Opened) -> Classifier:
    if opened.classifier.device.type == "cpu":
        return opened.classifier
    subject = opened.contender.subject
    name = getattr(subject, "classifier", None) or opened.detector.bundle.record.classifier
    return open_bare(name, "cpu").classifier


def bare_graph(classifier: Classifier, progress: ProgressCallback) -> bytes:
    """The classifier alone as an ONNX file: pixels in, logits and pooled-from representations out, as it is asked.

    Raises:
        ExportError: it is no graph.
    """
    from models.onnx_files.splicing import splice, translations  # noqa: PLC0415

    names = ["logits", *(f"representation{number}" for number in range(len(classifier.representations)))]
    example = torch.zeros(3, *classifier.input_shape)
    model = splice(export_onnx(_Bare(classifier), example, names, translations(), progress))
    content: bytes = model.SerializeToString()
    return content


class _Bare(nn.Module):
    """Logits and representations as a tuple, as the exporter wants them."""

    def __init__(self, classifier: Classifier) -> None:
        super().__init__()
        self.classifier = classifier

    def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
        """What the detector would be given."""
        outputs = self.classifier(pixels)
        return (outputs.logits, *outputs.representations.values())


def _session_pass(session: Any, pixels: Tensor) -> Act:
    """Logits alone are asked for: what is copied out besides would be charged to the roof."""
    if pixels.device.type == "cpu":
        feed: Mapping[str, Any] = {PIXELS: pixels.numpy()}
        return lambda: session.run(["logits"], feed)
    binding = session.io_binding()
    index = pixels.device.index or 0
    binding.bind_input(PIXELS, "cuda", index, "float32", tuple(pixels.shape), pixels.data_ptr())
    binding.bind_output("logits", "cuda", index)

    def run() -> None:
        # The binding holds an address, not the tensor.
        assert pixels.is_cuda
        session.run_with_iobinding(binding)
        binding.synchronize_outputs()

    return run


def _pixels(classifier: Classifier, n_images: int) -> Tensor:
    noise = torch.rand(n_images, *classifier.input_shape, generator=Generator().manual_seed(0))
    return noise.to(classifier.device)


def channels_last(pixels: Tensor) -> Tensor:
    """The same pixels with the channels of each lying together."""
    return pixels.contiguous(memory_format=torch.channels_last)


def wait_for(device: torch.device) -> None:
    """Until what was handed to a GPU is done."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def roofline_shares(
    seconds_per_image: Sequence[float], forward_seconds: Sequence[float], forward_equivalents: float
) -> tuple[float, ...]:
    """Of each round: detector images/s ÷ (bare forward rate ÷ forward equivalents); 1 if all time went into passes.

    Args:
        seconds_per_image: of the detector, one a round.
        forward_seconds: of one image in the bare classifier, one a round.
        forward_equivalents: forward passes that the detector took an image.
    """
    return tuple(
        forward_equivalents * forward / taken for taken, forward in zip(seconds_per_image, forward_seconds, strict=True)
    )
