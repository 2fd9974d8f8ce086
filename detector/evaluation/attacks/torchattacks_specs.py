"""The attacks of torchattacks at the strengths of the suites, with the library's settings where those attack.

Set otherwise:
    radii below 8/255    steps shrink with the radius; the default of 2/255 goes with 8/255
    CW                   the constant is the smallest of three that succeeds, since the library does not search for it;
                         the confidence is a margin that is really reached
    DeepFool             an overshoot of 0.1: at 0.02 it stalls just before the boundary, at half as much time again
    EADL1                20 iterations instead of 100, for a fifth of the time; it takes ten at least
    Square               1,000 queries instead of 5,000, with which it succeeds as often at 8/255
    SPSA                 10 iterations; the default of one hardly attacks

SparseFool is left as it is, although it hardly succeeds: with a larger λ it replaces the whole image.
"""

from detector.evaluation.attacks.spec import Attack, AttackSpec, Parameter, StrengthUnit
from detector.evaluation.attacks.torchattacks_wrapper import carlini_wagner_among, saliency_map, torchattack

CONSTANTS = (0.1, 1.0, 10.0)
"""Weights of the logits' loss in Carlini and Wagner's attack, of which each image gets the smallest that succeeds."""

_STEP = 0.25
"""Step of iterated L∞ attacks, in radii."""


def _in_ball(
    method: str,
    radius: float,
    title: str,
    *,
    needs_gradient: bool = True,
    most_images: int | None = None,
    **settings: Parameter,
) -> AttackSpec:
    """An attack within an L∞ radius, given in 255ths."""
    parameters: dict[str, Parameter] = {"eps": radius / 255, **settings}
    return AttackSpec(
        name=f"{method.lower()}-{radius:g}",
        title=f"{title}, L∞ {radius:g}/255",
        method=method,
        strength=radius,
        strength_unit=StrengthUnit.LINF,
        needs_gradient=needs_gradient,
        most_images=most_images,
        attack=torchattack(method, **parameters),
        parameters=parameters,
    )


def _iterated(method: str, radius: float, title: str) -> AttackSpec:
    """One of the attacks whose ten steps within an L∞ radius all have the same size."""
    return _in_ball(method, radius, f"{title}, 10 steps", alpha=_STEP * radius / 255)


def _pgd_l2(radius: float) -> AttackSpec:
    parameters: dict[str, Parameter] = {"eps": radius, "alpha": 0.2 * radius}
    return AttackSpec(
        name=f"pgdl2-{radius:g}",
        title=f"PGD, 10 steps, L2 {radius:g}",
        method="PGDL2",
        strength=radius,
        strength_unit=StrengthUnit.L2,
        needs_gradient=True,
        most_images=None,
        attack=torchattack("PGDL2", **parameters),
        parameters=parameters,
    )


def _carlini_wagner(confidence: float) -> AttackSpec:
    return AttackSpec(
        name=f"cw-{confidence:g}",
        title=f"C&W, L2, confidence {confidence:g}, 50 steps, c up to {CONSTANTS[-1]:g}",
        method="CW",
        strength=confidence,
        strength_unit=StrengthUnit.CONFIDENCE,
        needs_gradient=True,
        most_images=None,
        attack=carlini_wagner_among(CONSTANTS, confidence),
        parameters={"confidence": confidence, "c": ", ".join(f"{constant:g}" for constant in CONSTANTS)},
    )


def _free(
    method: str,
    title: str,
    *,
    needs_gradient: bool,
    most_images: int | None = None,
    attack: Attack | None = None,
    **parameters: Parameter,
) -> AttackSpec:
    """An attack without a radius."""
    return AttackSpec(
        name=method.lower(),
        title=title,
        method=method,
        strength=None,
        strength_unit=StrengthUnit.NONE,
        needs_gradient=needs_gradient,
        most_images=most_images,
        attack=attack or torchattack(method, **parameters),
        parameters=parameters,
    )


TORCHATTACKS: tuple[AttackSpec, ...] = (
    *(_in_ball("FGSM", radius, "FGSM") for radius in (1.0, 2.0, 4.0, 8.0)),
    _in_ball("FFGSM", 8.0, "FGSM from a random start"),
    _iterated("BIM", 8.0, "BIM"),
    *(_iterated("PGD", radius, "PGD") for radius in (1.0, 2.0, 4.0, 8.0)),
    *(_pgd_l2(radius) for radius in (0.25, 0.5, 1.0)),
    _iterated("MIFGSM", 8.0, "MI-FGSM"),
    _iterated("NIFGSM", 8.0, "NI-FGSM"),
    _iterated("DIFGSM", 8.0, "DI-FGSM"),
    _iterated("TIFGSM", 8.0, "TI-FGSM"),
    _iterated("TPGD", 8.0, "PGD on the divergence from the clean output"),
    _iterated("Jitter", 8.0, "Jitter"),
    *(_in_ball("APGD", radius, "APGD on the cross-entropy") for radius in (2.0, 8.0)),
    *(_in_ball("APGDT", radius, "APGD towards each label") for radius in (2.0, 8.0)),
    _in_ball("AutoAttack", 8.0, "AutoAttack", most_images=100),
    _in_ball("FAB", 8.0, "FAB, smallest"),
    *(_carlini_wagner(confidence) for confidence in (0.0, 5.0, 10.0)),
    _free("DeepFool", "DeepFool, L2, overshoot 0.1", needs_gradient=True, overshoot=0.1),
    _free("EADL1", "EAD, L1, 20 iterations", needs_gradient=True, most_images=100, max_iterations=20),
    _in_ball("Square", 4.0, "Square, 1,000 queries", needs_gradient=False, most_images=100, n_queries=1000),
    _in_ball("Square", 8.0, "Square, 1,000 queries", needs_gradient=False, n_queries=1000),
    _free("Pixle", "Pixle, pixels rearranged", needs_gradient=False),
    _in_ball("SPSA", 8.0, "SPSA, 10 iterations", needs_gradient=False, most_images=20, nb_iter=10, max_batch_size=4),
    _free("OnePixel", "One pixel", needs_gradient=False, most_images=100),
    _free("SparseFool", "SparseFool, L0", needs_gradient=True, most_images=10),
    _free("JSMA", "JSMA, L0, towards the next label", needs_gradient=True, most_images=10, attack=saliency_map()),
)
"""Every attack of the suite `all`, from a single step to the slowest."""
