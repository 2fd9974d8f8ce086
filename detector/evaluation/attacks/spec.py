"""What is known about an attack besides what it does, and how attacks fail."""

import dataclasses
import enum
from collections.abc import Callable, Mapping

from torch import Generator

from detector.types import Classifier, DetectorError, Images, Labels

Attack = Callable[[Classifier, Images, Labels, Generator], Images]
"""(classifier, images, true labels, random numbers) → attacked images; pixels in [0, 1] both ways."""

Parameter = int | float | str | bool
"""What an attack is set up with."""


class AttackError(DetectorError):
    """An attack that does not exist, or does not fit the images."""


class MissingExtraError(AttackError):
    """What an attack is made of is not installed."""


class StrengthUnit(enum.StrEnum):
    """What the strength of an attack counts."""

    LINF = "ε / 255"
    L2 = "ε (L2)"
    CONFIDENCE = "confidence"
    NONE = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class AttackSpec:
    """One attack at one strength.

    Attributes:
        name: unique; what it is asked for by, and what its figures are kept under.
        title: what people read, with norm and strength.
        method: what attacks that differ in nothing but strength have in common; together they make a sweep.
        strength: in `strength_unit`; none where the attack has no radius and no confidence.
        needs_gradient: whether it uses the classifier's gradient with respect to pixels.
        most_images: it is run on so many at most, since it is slow; no limit if not given.
        parameters: what it is set up with, as far as it is not its defaults.
    """

    name: str
    title: str
    method: str
    strength: float | None
    strength_unit: StrengthUnit
    needs_gradient: bool
    most_images: int | None
    attack: Attack
    parameters: Mapping[str, Parameter] = dataclasses.field(default_factory=dict, hash=False)
