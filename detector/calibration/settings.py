"""What a calibration depends on besides classifier and images."""

import dataclasses

from detector.bundle_record import ProxySource
from detector.calibration.adaptive import AdaptiveSettings
from detector.calibration.black_box import BlackBoxSettings
from detector.calibration.fitting import FittingSettings
from detector.calibration.learning import LearningSettings
from detector.calibration.proxies import ProxySettings
from detector.calibration.splits import SplitShares
from detector.calibration.stream import StreamSettings
from detector.conformal import images_needed
from detector.early_exit import EarlyExitSettings
from detector.prototypes.prototype_set import PrototypeKind, PrototypeLabels
from detector.prototypes.star import StarSettings
from detector.prototypes.synthesis import VisualisationSettings
from detector.second_opinion import EscalationSettings
from detector.smoothing import Smoothing
from detector.types import CalibrationError


@dataclasses.dataclass(frozen=True, kw_only=True)
class CalibrationSettings:
    """Everything that decides a bundle, given classifier, images and library versions.

    Attributes:
        prototype_kind: how prototypes are made.
        learning_start: how those are made that learned ones start from.
        prototype_labels: which labels get prototypes. All can, where no image is needed to make them; a verdict on a
            label without images then rests on what holds for any label.
        n_prototypes: prototypes of each label.
        mixing: mixing weights of the interior waypoints; where learning starts, if prototypes are learned.
        hidden: widths of the head's hidden layers; none makes it linear.
        false_positive_rates: rates that the bundle must be able to serve.
        seed: one seed gives one bundle.
        smoothings: smoothed versions of the image that the head is shown too; learning prototypes goes without.
        auxiliary_prototypes: paths that the auxiliary classifier looks along, where there is one.
        adaptive: whether, and how, the head meets proxies that know it.
        escalation: whether, and how, a second opinion on images in doubt is tried; it is kept only if it pays.
        early_exit: whether, and how, an exit for clear images is tried; it is kept only if it pays.
    """

    prototype_kind: PrototypeKind = PrototypeKind.LEARNED
    learning_start: PrototypeKind = PrototypeKind.FEATURE_VISUALISED
    prototype_labels: PrototypeLabels = PrototypeLabels.WITH_IMAGES
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
    smoothings: tuple[Smoothing, ...] = (Smoothing.MEDIAN,)
    auxiliary_prototypes: int = 0
    adaptive: AdaptiveSettings | None = None
    escalation: EscalationSettings | None = None
    early_exit: EarlyExitSettings | None = None
    star: StarSettings = dataclasses.field(default_factory=StarSettings)

    def __post_init__(self) -> None:
        if self.prototype_kind is PrototypeKind.LEARNED_FROM_IMAGES:
            raise CalibrationError(
                f"prototypes of the kind {self.prototype_kind} are what learning makes of images; ask for "
                f"{PrototypeKind.LEARNED} ones that start from {PrototypeKind.REAL} ones"
            )
        if self.learning_start in _NO_START:
            starts = ", ".join(kind for kind in PrototypeKind if kind not in _NO_START)
            raise CalibrationError(f"learning cannot start from {self.learning_start} prototypes; give one of {starts}")
        if self.prototype_labels is PrototypeLabels.ALL and not self.prototype_kind.needs_no_image:
            possible = ", ".join(kind for kind in PrototypeKind if kind.needs_no_image)
            raise CalibrationError(
                f"{self.prototype_kind} prototypes need images of their label, and prototypes of all labels are asked "
                f"for; give one of the kinds {possible}, or prototypes of the labels with images alone"
            )
        if self.n_prototypes < 1:
            raise CalibrationError(f"{self.n_prototypes} prototypes of each label were asked for; at least 1 is needed")
        if self._starts_alike and self.n_prototypes > 1:
            raise CalibrationError(
                f"{self.n_prototypes} prototypes of each label that all start grey would learn the same; "
                "ask for 1, or let learning start elsewhere"
            )
        if not all(0 < weight < 1 for weight in self.mixing):
            raise CalibrationError(
                f"mixing weights are {self.mixing}; each must lie between 0, at the image, and 1, at the prototype"
            )
        self._check_escalation()
        self._check_early_exit()
        if not self.false_positive_rates:
            raise CalibrationError("no false-positive rate is given; give at least one that the bundle is to serve")
        for rate in self.false_positive_rates:
            images_needed(rate)

    def _check_escalation(self) -> None:
        if self.escalation is None:
            return
        if self.prototype_kind is PrototypeKind.NONE:
            raise CalibrationError(
                "without prototypes there are no paths to search; leave escalation out, or take some"
            )
        lowest, highest = self.escalation.doubt
        if self.false_positive_rates and not lowest < max(self.false_positive_rates) < highest:
            raise CalibrationError(
                f"a second opinion between the highest {lowest} and {highest} of scores decides nothing at a "
                f"false-positive rate of {max(self.false_positive_rates)}; let the band of doubt hold it"
            )

    def _check_early_exit(self) -> None:
        if self.early_exit is None:
            return
        if self.escalation is not None:
            raise CalibrationError(
                "a second opinion is for images in doubt, and an early exit for clear ones; ask for one of them"
            )
        if self.stream.proxies is None:
            raise CalibrationError(
                "an early exit learns from proxies, and these settings make none; leave it out, or make some"
            )
        if self.auxiliary_prototypes:
            raise CalibrationError(
                f"the auxiliary classifier was to look along {self.auxiliary_prototypes} paths, of which a first look "
                "has none; let it look at the image alone, or leave the early exit out"
            )

    @property
    def proxy_source(self) -> ProxySource:
        """What proxies are made with."""
        match self.stream.proxies:
            case ProxySettings():
                return ProxySource.GRADIENT
            case BlackBoxSettings():
                return ProxySource.BLACK_BOX
            case None:
                return ProxySource.NONE

    @property
    def start_kind(self) -> PrototypeKind:
        """The kind that is made first: what prototypes are, or, if they are learned, what they start from."""
        return self.learning_start if self.prototype_kind is PrototypeKind.LEARNED else self.prototype_kind

    @property
    def _starts_alike(self) -> bool:
        return self.prototype_kind is PrototypeKind.LEARNED and self.learning_start is PrototypeKind.GREY


_NO_START = {PrototypeKind.LEARNED, PrototypeKind.LEARNED_FROM_IMAGES, PrototypeKind.NONE}
