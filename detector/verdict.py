"""What the user gets for one image."""

import dataclasses
import enum


class Decision(enum.StrEnum):
    """The answer. Callers treat UNDECIDED as ADVERSARIAL unless they know better."""

    CLEAN = "clean"
    ADVERSARIAL = "adversarial"
    UNDECIDED = "undecided"


class Outcome(enum.StrEnum):
    """How the decision came about; the text of each says what to do about it."""

    DECIDED = "decided"
    LEFT_EARLY = "the first look found the image clear, so no path was measured; `isthmus explain` measures them"
    NON_FINITE = "the classifier's outputs or the score are not finite; check the weights and the pixels"
    NO_PROTOTYPE = "the bundle has no prototype of the predicted label; calibrate with images of that label"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """One image, judged.

    Attributes:
        decision: adversarial where `p_value` is at most `false_positive_rate`.
        label: what the classifier predicts.
        score: higher is more adversarial; log-odds of the calibrated head, or, where images may leave early, what
            `detector.early_exit` makes of them.
        p_value: share of clean calibration images that score at least as high, `(1 + k) / (n + 1)`.
        false_positive_rate: the share of clean images that may be flagged at this threshold.
        barrier: rise of the cross-entropy above the higher endpoint, in nats, on the lowest of the paths to the
            prototypes of the label, at the bundle's waypoints; None where no path was measured.
        prototype: index, among the prototypes of the label, of the one at the end of that path.
        suspected_label: for a flagged image, what it may truly show: the label that, at the image and along the paths,
            has the strongest claim besides the predicted one; None otherwise.
        outcome: how the decision came about.
        profile: cross-entropy in nats along that path, from the image to the prototype.
    """

    decision: Decision
    label: int
    score: float | None
    p_value: float | None
    false_positive_rate: float
    barrier: float | None
    prototype: int | None
    suspected_label: int | None
    outcome: Outcome
    profile: tuple[float, ...]
