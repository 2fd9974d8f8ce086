"""The detector-aware attacks of the evaluation."""

import dataclasses
import enum
from collections.abc import Callable

from detector.evaluation.adaptive.expectation import expectation
from detector.evaluation.adaptive.joint import AdaptiveAttack
from detector.evaluation.adaptive.matching import feature_matching, logit_matching
from detector.evaluation.adaptive.orthogonal import orthogonal
from detector.evaluation.adaptive.selective import selective
from detector.evaluation.adaptive.square import square

RADII = (0.01, 0.031)
"""L∞, pixel units of [0, 1]: those that detectors are compared at (Bryniarski et al. 2021)."""

STEPS = 80
DRAWS = 4
QUERIES = 500
MOST_IMAGES = 48


class Goal(enum.StrEnum):
    """RANDOM_LABEL: success is to be taken for one other label drawn at random. ANY_OTHER: for any but the true one;
    the attack heads for the runner-up of the clean image alone, so what withstands it is an upper bound.
    """

    RANDOM_LABEL = "one random other label"
    ANY_OTHER = "any other label"


@dataclasses.dataclass(frozen=True, kw_only=True)
class AdaptiveSpec:
    """A detector-aware attack.

    Attributes:
        name: what results are keyed by, unique.
        radius: L∞, pixel units of [0, 1].
        most_images: clean images it is run on, at most.
        needs_gradient: whether it needs gradients in the pixels.
        needs_draws: whether it differs from another attack only where the detector draws random numbers.
        goal: what counts as reached.
    """

    name: str
    title: str
    radius: float
    most_images: int = MOST_IMAGES
    needs_gradient: bool = True
    needs_draws: bool = False
    goal: Goal = Goal.RANDOM_LABEL
    attack: AdaptiveAttack


def _at_radii(
    name: str, title: str, factory: Callable[[float], AdaptiveAttack], *, needs_draws: bool = False
) -> tuple[AdaptiveSpec, ...]:
    return tuple(
        AdaptiveSpec(
            name=f"{name}-{radius:g}",
            title=f"{title}, L∞ {radius:g}, {STEPS} steps",
            radius=radius,
            needs_draws=needs_draws,
            attack=factory(radius),
        )
        for radius in RADII
    )


ADAPTIVE: tuple[AdaptiveSpec, ...] = (
    *_at_radii("selective", "Selective PGD", lambda radius: selective(radius, STEPS)),
    *_at_radii("orthogonal", "Orthogonal PGD", lambda radius: orthogonal(radius, STEPS)),
    *_at_radii("logit-matching", "Logit matching", lambda radius: logit_matching(radius, STEPS)),
    *_at_radii("feature-matching", "Feature matching", lambda radius: feature_matching(radius, STEPS)),
    *_at_radii(
        "expectation",
        f"Selective PGD in expectation over {DRAWS} draws",
        lambda radius: expectation(radius, STEPS, DRAWS),
        needs_draws=True,
    ),
    AdaptiveSpec(
        name="untargeted-8",
        title=f"Selective PGD to any other label, L∞ 8/255, {STEPS} steps",
        radius=8 / 255,
        goal=Goal.ANY_OTHER,
        attack=selective(8 / 255, STEPS),
    ),
    AdaptiveSpec(
        name="square-8",
        title=f"Square attack, L∞ 8/255, {QUERIES} queries",
        radius=8 / 255,
        needs_gradient=False,
        attack=square(8 / 255, QUERIES),
    ),
)
