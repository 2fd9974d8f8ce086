"""What a calibration depends on besides classifier and images."""

import dataclasses

from detector.calibration.fitting import FittingSettings
from detector.calibration.learning import LearningSettings
from detector.calibration.splits import SplitShares
from detector.calibration.stream import StreamSettings
from detector.conformal import images_needed
from detector.prototypes.prototype_set import PrototypeKind
from detector.prototypes.synthesis import VisualisationSettings
from detector.types import CalibrationError


@dataclasses.dataclass(frozen=True, kw_only=True)
class CalibrationSettings:
    """Everything that decides a bundle, given classifier, images and library versions.

    Attributes:
        prototype_kind: how prototypes are made.
        n_prototypes: prototypes of each label.
        mixing: mixing weights of the interior waypoints; where learning starts, if prototypes are learned.
        hidden: widths of the head's hidden layers; none makes it linear.
        false_positive_rates: rates that the bundle must be able to serve.
        seed: one seed gives one bundle.
    """

    prototype_kind: PrototypeKind = PrototypeKind.LEARNED
    n_prototypes: int = 3
    mixing: tuple[float, ...] = (0.2, 0.4)
    hidden: tuple[int, ...] = (64,)
    false_positive_rates: tuple[float, ...] = (0.01, 0.05)
    seed: int = 0
    shares: SplitShares = dataclasses.field(default_factory=SplitShares)
    stream: StreamSettings = dataclasses.field(default_factory=StreamSettings)
    learning: LearningSettings = dataclasses.field(default_factory=LearningSettings)
    fitting: FittingSettings = dataclasses.field(default_factory=FittingSettings)
    visualisation: VisualisationSettings = dataclasses.field(default_factory=VisualisationSettings)

    def __post_init__(self) -> None:
        if self.n_prototypes < 1:
            raise CalibrationError(f"{self.n_prototypes} prototypes of each label were asked for; at least 1 is needed")
        if not all(0 < weight < 1 for weight in self.mixing):
            raise CalibrationError(
                f"mixing weights are {self.mixing}; each must lie between 0, at the image, and 1, at the prototype"
            )
        if not self.false_positive_rates:
            raise CalibrationError("no false-positive rate is given; give at least one that the bundle is to serve")
        for rate in self.false_positive_rates:
            images_needed(rate)
