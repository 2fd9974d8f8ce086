"""Single images with their paths, as the cards of a page: what they hold and how they are put in words."""

import dataclasses
import math
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float, UInt8
from markupsafe import Markup
from numpy import ndarray

from detector.evaluation.figures import finite_range, profile_figure
from detector.evaluation.pictures import AMPLIFICATION, difference_uri, is_reduced, picture_uri, thumbnail_uri
from detector.verdict import Decision

MOST_WEIGHTS = 12
"""Mixing weights written beneath one strip at most."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class PathExample:
    """One image and its lowest-barrier path.

    Attributes:
        title: heading of its card.
        attack: None for a natural image.
        suspected_label: None where nothing is suspected.
        p_value, score: not finite for an undecided image.
        barrier: in nats; None where there is no path.
        image: what was judged.
        original: the image that was attacked; None for a natural image.
        strip: pictures along the path, from the image to the prototype.
        mixing: share of the prototype in each picture of the strip, 0 to 1.
        profiles: by "name, unit"; one value a picture of the strip.
    """

    title: str
    attack: str | None
    true_label: str
    predicted_label: str
    suspected_label: str | None
    decision: Decision
    p_value: float
    score: float
    barrier: float | None
    image: UInt8[ndarray, "channel height width"]
    original: UInt8[ndarray, "channel height width"] | None
    strip: UInt8[ndarray, "point channel height width"]
    mixing: Float[ndarray, " point"]
    profiles: Mapping[str, Float[ndarray, " point"]]


def verdict_in_words(example: PathExample) -> str:
    """The verdict as a sentence, e.g. "flagged: p = 0.004; the classifier says 3, the path says 8"."""
    says = f"the classifier says {example.predicted_label}"
    if example.suspected_label is not None:
        says += f", the path says {example.suspected_label}"
    match example.decision:
        case Decision.ADVERSARIAL:
            return f"flagged: p = {_p_text(example.p_value)}; {says}"
        case Decision.CLEAN:
            return f"passed: p = {_p_text(example.p_value)}; {says}"
        case Decision.UNDECIDED:
            return f"undecided, to be treated as adversarial; {says}"


def truth_in_words(example: PathExample) -> str:
    """What the image really is, e.g. "pgd8 attack on 8"."""
    if example.attack is None:
        return f"natural image of {example.true_label}"
    return f"{example.attack} attack on {example.true_label}"


def is_right(example: PathExample) -> bool:
    """Whether an attack was stopped or a natural image let through."""
    return (example.decision is Decision.CLEAN) == (example.attack is None)


def example_contexts(examples: Sequence[PathExample]) -> list[dict[str, object]]:
    """The cards as the template takes them; each potential has one vertical range on the whole page."""
    limits = _profile_limits(examples)
    return [_context(example, index, limits) for index, example in enumerate(examples)]


def _p_text(p_value: float) -> str:
    if not math.isfinite(p_value):
        return "–"
    return np.format_float_positional(p_value, precision=2, fractional=False, trim="-")


def _profile_limits(examples: Sequence[PathExample]) -> Mapping[str, tuple[float, float]]:
    """One vertical range for each potential, so that the cards can be compared by eye."""
    values: dict[str, list[Float[ndarray, " _"]]] = {}
    for example in examples:
        for name, profile in example.profiles.items():
            values.setdefault(name, []).append(profile)
    return {name: finite_range(np.concatenate(profiles)) for name, profiles in values.items()}


def _context(example: PathExample, index: int, limits: Mapping[str, tuple[float, float]]) -> dict[str, object]:
    pictures = [("what came", picture_uri(example.image), example.image.shape)]
    if example.original is not None:
        pictures += [
            ("before the attack", picture_uri(example.original), example.original.shape),
            (f"difference × {AMPLIFICATION}", difference_uri(example.image, example.original), example.image.shape),
        ]
    every = math.ceil(len(example.mixing) / MOST_WEIGHTS)
    return {
        "example": example,
        "verdict": verdict_in_words(example),
        "truth": truth_in_words(example),
        "is_right": is_right(example),
        "is_pixelated": not is_reduced(example.image),
        "pictures": pictures,
        "strip": [
            (thumbnail_uri(picture), f"{weight:.2g}", position % every == 0)
            for position, (picture, weight) in enumerate(zip(example.strip, example.mixing, strict=True))
        ],
        "profiles": [
            _profile_context(name, values, limits=limits[name], prefix=f"example-{index}-{row}-")
            for row, (name, values) in enumerate(example.profiles.items())
        ],
    }


def _profile_context(
    name: str, values: Float[ndarray, " point"], *, limits: tuple[float, float], prefix: str
) -> dict[str, object]:
    potential, _, unit = name.partition(", ")
    numbers: list[float] = values.tolist()
    label = f"{name}, from {_number_text(numbers[0])} at the image to {_number_text(numbers[-1])} at the prototype"
    return {
        "potential": potential,
        "unit": unit,
        "lowest": _number_text(limits[0]),
        "highest": _number_text(limits[1]),
        "values": [_number_text(number) for number in numbers],
        "svg": Markup(profile_figure(values, limits=limits, label=label, prefix=prefix)),
    }


def _number_text(value: float) -> str:
    return f"{value:.3g}".replace("-", "−")
