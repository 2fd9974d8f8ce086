"""A classifier that computes in half precision, where its device does that faster."""

import enum

import torch

from detector.pooled_outputs import PooledOutputs
from detector.types import Classifier, Images


class Precision(enum.StrEnum):
    """What the classifier's layers compute in; potentials and heads are float32 always.

    FLOAT32 is what bundles are calibrated with. BFLOAT16 keeps the range and 8 bits of the digits, FLOAT16 11 bits.
    """

    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"
    FLOAT16 = "float16"

    @property
    def dtype(self) -> torch.dtype:
        """The same for PyTorch."""
        return _DTYPES[self]


_DTYPES = {
    Precision.FLOAT32: torch.float32,
    Precision.BFLOAT16: torch.bfloat16,
    Precision.FLOAT16: torch.float16,
}


class HalfPrecisionClassifier:
    """The same classifier under autocast; outputs come back as float32 and are pooled as such.

    Weights stay float32 where they lie, so that its digest is that of the classifier. Scores differ from those of
    float32 by the rounding of every layer: whoever chooses this measures what it costs.
    """

    def __init__(self, classifier: Classifier, precision: Precision) -> None:
        self.classifier = classifier
        self.precision = precision
        self.labels = classifier.labels
        self.input_shape = classifier.input_shape
        self.device = classifier.device

    def digest(self) -> str:
        """Of the classifier itself."""
        return self.classifier.digest()

    def __call__(self, points: Images) -> PooledOutputs:
        """Logits and pooled representations, all float32."""
        # Cast weights that are kept between calls would be memory of one CUDA graph that another reads.
        with torch.autocast(points.device.type, self.precision.dtype, cache_enabled=False):
            outputs = self.classifier(points)
        whole = {name: value.float() for name, value in outputs.representations.items()}
        return PooledOutputs.of(PooledOutputs(outputs.logits.float(), whole))
