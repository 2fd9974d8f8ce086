from detector.evaluation.adaptive.specs import ADAPTIVE, RADII, Goal


def test_every_attack_has_a_name_of_its_own_that_can_name_a_file() -> None:
    names = [spec.name for spec in ADAPTIVE]
    assert len(set(names)) == len(names)
    assert all(name.replace("-", "").replace(".", "").isalnum() for name in names)


def test_gradient_attacks_run_at_the_radii_of_the_protocol_and_the_black_box_without_gradients() -> None:
    by_gradient = [spec for spec in ADAPTIVE if spec.needs_gradient and spec.goal is Goal.RANDOM_LABEL]
    assert RADII == (0.01, 0.031)
    assert {spec.name.removesuffix(f"-{spec.radius:g}") for spec in by_gradient if spec.radius == RADII[0]} == {
        "selective",
        "orthogonal",
        "logit-matching",
        "feature-matching",
        "expectation",
    }
    assert len(by_gradient) == 10
    assert [spec.name for spec in ADAPTIVE if not spec.needs_gradient] == ["square-8"]
    assert [spec.name for spec in ADAPTIVE if spec.goal is Goal.ANY_OTHER] == ["untargeted-8"]
    assert all(spec.needs_draws == spec.name.startswith("expectation") for spec in ADAPTIVE)
