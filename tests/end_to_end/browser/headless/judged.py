"""What a page is held against."""

import dataclasses
from pathlib import Path

from detector.verdict import Verdict


@dataclasses.dataclass(frozen=True)
class Judged:
    """An image file, and what Python says of it."""

    path: Path
    verdict: Verdict
    labels: tuple[str, ...]

    @property
    def label(self) -> str:
        return self.labels[self.verdict.label]
