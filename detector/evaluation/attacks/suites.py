"""Which attacks are run together, and how they are asked for."""

from collections.abc import Mapping

from detector.evaluation.attacks.builtin import carlini_wagner, deepfool, fgsm, pgd, targeted_pgd
from detector.evaluation.attacks.spec import Attack, AttackError, AttackSpec, StrengthUnit
from detector.evaluation.attacks.torchattacks_specs import TORCHATTACKS
from detector.evaluation.attacks.torchattacks_wrapper import require_torchattacks


def _own(
    name: str, title: str, method: str, attack: Attack, strength: float | None, unit: StrengthUnit = StrengthUnit.LINF
) -> AttackSpec:
    return AttackSpec(
        name=name,
        title=title,
        method=method,
        strength=strength,
        strength_unit=unit,
        needs_gradient=True,
        most_images=None,
        attack=attack,
    )


BUILTIN: tuple[AttackSpec, ...] = (
    _own("fgsm8", "FGSM, L∞ 8/255", "FGSM, built in", fgsm(8 / 255), 8.0),
    _own("pgd8", "PGD, L∞ 8/255, 20 steps", "PGD, 20 steps", pgd(8 / 255), 8.0),
    _own("pgd2", "PGD, L∞ 2/255, 20 steps", "PGD, 20 steps", pgd(2 / 255), 2.0),
    _own("tpgd8", "PGD towards a random label, L∞ 8/255, 20 steps", "targeted PGD", targeted_pgd(8 / 255), 8.0),
    _own("df", "DeepFool, L2, overshoot 0.02", "DeepFool, built in", deepfool(), None, StrengthUnit.NONE),
    _own("cw0", "C&W, L2, confidence 0", "C&W by bisection", carlini_wagner(0.0), 0.0, StrengthUnit.CONFIDENCE),
    _own("cw10", "C&W, L2, confidence 10", "C&W by bisection", carlini_wagner(10.0), 10.0, StrengthUnit.CONFIDENCE),
)
"""The project's own seven: the radius in 255ths of the pixel range, or the confidence in logits."""

SUITE: Mapping[str, Attack] = {spec.name: spec.attack for spec in BUILTIN}
"""What the attacks of `BUILTIN` do, by their names."""


def _picked(*names: str) -> tuple[AttackSpec, ...]:
    by_name = {spec.name: spec for spec in TORCHATTACKS}
    return tuple(by_name[name] for name in names)


FAST: tuple[AttackSpec, ...] = _picked("fgsm-8", "pgd-2", "pgd-8", "deepfool", "cw-0", "square-8")
"""One of a kind: a single step, many steps small and large, the nearest boundary, a weighed loss, and a black box."""

_NOT_STANDARD = frozenset({"fgsm-1", "pgd-1", "spsa-8", "onepixel", "sparsefool", "jsma"})

STANDARD: tuple[AttackSpec, ...] = tuple(spec for spec in TORCHATTACKS if spec.name not in _NOT_STANDARD)
"""All but the smallest radius, and what takes longest or succeeds on few images."""

ALL: tuple[AttackSpec, ...] = TORCHATTACKS

SUITES: Mapping[str, tuple[AttackSpec, ...]] = {"builtin": BUILTIN, "fast": FAST, "standard": STANDARD, "all": ALL}


def specs_named(text: str) -> tuple[AttackSpec, ...]:
    """The attacks of a list of suites and attacks, with commas between them; each once, in that order.

    Raises:
        AttackError: a name is neither a suite nor an attack, or there is none.
        MissingExtraError: one of them is torchattacks', which is not installed.
    """
    named = {**{spec.name: (spec,) for spec in (*BUILTIN, *ALL)}, **SUITES}
    asked = [name.strip() for name in text.split(",") if name.strip()]
    unknown = [name for name in asked if name not in named]
    if unknown or not asked:
        came = f"there is no attack {', '.join(map(repr, unknown))}" if unknown else "no attack is named"
        raise AttackError(
            f"{came}; name, with commas between them, suites ({', '.join(SUITES)}) or attacks "
            f"({', '.join(name for name in named if name not in SUITES)})"
        )
    specs = {spec.name: spec for name in asked for spec in named[name]}
    if not all(spec in BUILTIN for spec in specs.values()):
        require_torchattacks()
    return tuple(specs.values())
