"""Attacks that bundles are judged on."""

from detector.evaluation.attacks.builtin import carlini_wagner, deepfool, fgsm, pgd, targeted_pgd
from detector.evaluation.attacks.spec import Attack, AttackError, AttackSpec, MissingExtraError, StrengthUnit
from detector.evaluation.attacks.suites import ALL, BUILTIN, FAST, STANDARD, SUITE, specs_named

__all__ = [
    "ALL",
    "BUILTIN",
    "FAST",
    "STANDARD",
    "SUITE",
    "Attack",
    "AttackError",
    "AttackSpec",
    "MissingExtraError",
    "StrengthUnit",
    "carlini_wagner",
    "deepfool",
    "fgsm",
    "pgd",
    "specs_named",
    "targeted_pgd",
]
