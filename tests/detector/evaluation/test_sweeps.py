from collections.abc import Callable, Mapping

import numpy as np
import pytest

from detector.evaluation.attacked import AttackedImages
from detector.evaluation.attacks import AttackSpec, StrengthUnit
from detector.evaluation.results import DetectorFigures
from detector.evaluation.sweeps import sweep_panels

Figures, Spec = Callable[..., DetectorFigures], Callable[..., AttackSpec]
Attacked = Callable[..., Mapping[str, AttackedImages]]


@pytest.fixture
def attacked(attacked_of: Callable[[int], AttackedImages]) -> Callable[..., Mapping[str, AttackedImages]]:
    """By name, what attacks left that succeeded on so many of forty images."""
    return lambda **successes: {name: attacked_of(n) for name, n in successes.items()}


def test_strengths_of_one_method_make_a_panel_in_ascending_order(
    figures_of: Figures, spec_of: Spec, attacked: Attacked
) -> None:
    specs = [spec_of("strong", strength=8.0), spec_of("weak", strength=2.0), spec_of("none", strength=0.5)]
    made = attacked(strong=40, weak=20, none=0)
    (panel,) = sweep_panels(specs, made, figures_of({"strong": 0.5, "weak": 0.75}))
    assert (panel.method, panel.unit) == ("PGD", "ε / 255")
    assert panel.strengths.tolist() == [0.5, 2.0, 8.0]
    assert panel.success.tolist() == [0.0, 0.5, 1.0]
    np.testing.assert_array_equal(panel.auroc, [np.nan, 0.75, 0.5])
    np.testing.assert_array_equal(panel.flagged, [np.nan, 0.375, 0.25])
    assert (panel.auroc_lower[2], panel.auroc_upper[2]) == (0.4, 0.6)


def test_one_strength_other_units_and_attacks_without_strength_make_no_sweep(
    figures_of: Figures, spec_of: Spec, attacked: Attacked
) -> None:
    specs = [
        spec_of("a", strength=8.0),
        spec_of("b", strength=1.0, strength_unit=StrengthUnit.L2),
        spec_of("c"),
        spec_of("d", strength=2.0),
    ]
    # The last was skipped.
    assert sweep_panels(specs, attacked(a=40, b=40, c=40), figures_of({"a": 0.5, "b": 0.5, "c": 0.5})) == ()


def test_a_method_that_never_succeeded_has_no_panel(figures_of: Figures, spec_of: Spec, attacked: Attacked) -> None:
    specs = [spec_of("a", strength=8.0), spec_of("b", strength=2.0)]
    assert sweep_panels(specs, attacked(a=0, b=0), figures_of({})) == ()
