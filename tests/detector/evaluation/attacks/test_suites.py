import importlib.util

import pytest

from detector.evaluation.attacks import ALL, BUILTIN, FAST, STANDARD, SUITE, AttackError, MissingExtraError, specs_named


def test_names_and_titles_are_unique() -> None:
    every = (*BUILTIN, *ALL)
    assert len({spec.name for spec in every}) == len(every)
    assert len({(spec.title, spec in BUILTIN) for spec in every}) == len(every)


def test_names_can_be_listed_and_can_be_files() -> None:
    assert all(set(spec.name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-.") for spec in (*BUILTIN, *ALL))


def test_the_built_in_suite_has_the_seven_attacks_of_the_tables() -> None:
    names = ["fgsm8", "pgd8", "pgd2", "tpgd8", "df", "cw0", "cw10"]
    assert [spec.name for spec in BUILTIN] == names == list(SUITE)
    assert all(SUITE[spec.name] is spec.attack for spec in BUILTIN)


def test_each_suite_is_part_of_the_next() -> None:
    names = [[spec.name for spec in suite] for suite in (FAST, STANDARD, ALL)]
    assert set(names[0]) < set(names[1]) < set(names[2])


def test_the_fast_suite_has_one_attack_of_each_kind() -> None:
    assert [spec.name for spec in FAST] == ["fgsm-8", "pgd-2", "pgd-8", "deepfool", "cw-0", "square-8"]
    assert [spec.name for spec in FAST if not spec.needs_gradient] == ["square-8"]


def test_the_standard_suite_has_many_methods_and_the_three_sweeps() -> None:
    assert len(STANDARD) >= 16
    assert len({spec.method for spec in STANDARD}) >= 14
    strengths = {
        method: [spec.strength for spec in STANDARD if spec.method == method]
        for method in ("FGSM", "PGD", "PGDL2", "CW", "Square")
    }
    assert strengths == {
        "FGSM": [2, 4, 8],
        "PGD": [2, 4, 8],
        "PGDL2": [0.25, 0.5, 1],
        "CW": [0, 5, 10],
        "Square": [4, 8],
    }


def test_attacks_of_one_method_count_their_strength_in_one_unit() -> None:
    every = (*BUILTIN, *ALL)
    for method in {spec.method for spec in every}:
        specs = [spec for spec in every if spec.method == method]
        assert len({spec.strength_unit for spec in specs}) == 1
        assert len({spec.strength for spec in specs}) == len(specs)


def test_suites_and_attacks_are_named_in_one_list_and_come_once_each() -> None:
    assert specs_named("standard") == STANDARD
    assert [spec.name for spec in specs_named(" cw-10, pgd-2,cw-10")] == ["cw-10", "pgd-2"]
    assert specs_named("pgd-8,fast") == (specs_named("pgd-8")[0], *(spec for spec in FAST if spec.name != "pgd-8"))
    assert specs_named("builtin,all") == (*BUILTIN, *ALL)


@pytest.mark.parametrize(("text", "says"), [("pgd-8,pgd-9", "no attack 'pgd-9'"), (" , ", "no attack is named")])
def test_a_name_that_there_is_not_is_answered_with_those_there_are(text: str, says: str) -> None:
    with pytest.raises(AttackError, match=rf"{says}; .*builtin, fast, standard, all.*fgsm8, .*pgd-8.*jsma"):
        specs_named(text)


def test_only_attacks_of_the_library_need_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    assert specs_named("builtin") == BUILTIN
    with pytest.raises(MissingExtraError, match=r"pip install 'isthmus\[attacks\]'"):
        specs_named("builtin,fgsm-8")
