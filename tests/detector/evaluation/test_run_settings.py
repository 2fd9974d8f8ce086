import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from detector.bundle import Bundle
from detector.detector import Detector
from detector.evaluation.attacks import BUILTIN
from detector.evaluation.run_settings import RUN_FILE, RunError, RunSettings, bundle_digest, open_run, settings_of
from detector.types import LabelledImages

ASKED = RunSettings(
    bundles={"digits": "ab" * 32},
    classifier="c1",
    images="d1",
    limit=60,
    seed=0,
    attacks={"pgd8": "PGD, L∞ 8/255"},
    adaptive={},
    baselines=False,
    versions={"torch": "2.13.0"},
)


def _with(**changes: Any) -> RunSettings:
    return ASKED.model_copy(update=changes)


def test_the_same_settings_go_on_with_the_run(tmp_path: Path) -> None:
    assert open_run(tmp_path / "run", ASKED) == ASKED
    assert open_run(tmp_path / "run", ASKED) == ASKED
    assert RunSettings.model_validate_json((tmp_path / "run" / RUN_FILE).read_bytes()) == ASKED


def test_a_run_that_names_no_runtime_had_torch(tmp_path: Path) -> None:
    (tmp_path / RUN_FILE).write_text(json.dumps(ASKED.model_dump(exclude={"runtime"})))
    assert open_run(tmp_path, ASKED) == ASKED
    with pytest.raises(RunError, match="runtime was torch, now torch-bfloat16"):
        open_run(tmp_path, _with(runtime="torch-bfloat16"))


def test_attacks_of_an_earlier_call_stay_in_the_run_and_come_first(tmp_path: Path) -> None:
    open_run(tmp_path, ASKED)
    later = _with(attacks={"cw0": "C&W"}, adaptive={"square": "Square"}, baselines=True, versions={"torchattacks": "3"})
    found = open_run(tmp_path, later)
    assert list(found.attacks) == ["pgd8", "cw0"]
    assert open_run(tmp_path, ASKED) == found
    assert (found.adaptive, found.baselines) == ({"square": "Square"}, True)
    assert found.versions == {"torch": "2.13.0", "torchattacks": "3"}


@pytest.mark.parametrize(
    ("changes", "difference"),
    [
        ({"limit": 12}, "limit was 60, now 12;"),
        ({"seed": 1}, "seed was 0, now 1;"),
        ({"images": "d2"}, "images was d1, now d2;"),
        ({"classifier": "c2"}, "classifier was c1, now c2;"),
        ({"bundles": {"digits": "cd" * 32}}, "bundles.digits was abababababab…, now cdcdcdcdcdcd…;"),
        ({"bundles": {**ASKED.bundles, "other": "x"}}, "bundles.other was absent, now x;"),
        ({"attacks": {"pgd8": "PGD, L∞ 4/255"}}, "attacks.pgd8 was PGD, L∞ 8/255, now PGD, L∞ 4/255;"),
        ({"runtime": "torch-float16"}, "runtime was torch, now torch-float16;"),
        ({"versions": {"torch": "2.14.0"}}, "versions.torch was 2.13.0, now 2.14.0;"),
        ({"limit": 12, "seed": 1}, "limit was 60, now 12; seed was 0, now 1;"),
    ],
)
def test_other_settings_are_refused_and_the_difference_shown(
    tmp_path: Path, changes: dict[str, Any], difference: str
) -> None:
    open_run(tmp_path, ASKED)
    before = (tmp_path / RUN_FILE).read_bytes()
    with pytest.raises(RunError) as raised:
        open_run(tmp_path, _with(**changes))
    assert f"other settings: {difference} give" in str(raised.value)
    assert (tmp_path / RUN_FILE).read_bytes() == before


def test_a_folder_with_other_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("")
    with pytest.raises(RunError, match=r"holds other files and no run\.json"):
        open_run(tmp_path, ASKED)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize(
    ("content", "problem"),
    [("{", "cannot be read"), (json.dumps(ASKED.model_dump() | {"schema_version": 9}), "has schema 9")],
)
def test_settings_that_cannot_be_read_are_refused(tmp_path: Path, content: str, problem: str) -> None:
    (tmp_path / RUN_FILE).write_text(content)
    with pytest.raises(RunError, match=problem):
        open_run(tmp_path, ASKED)


def test_settings_follow_from_bundle_images_and_attacks(
    bundle: Bundle, corners: Any, corner_images: Callable[..., LabelledImages]
) -> None:
    def settings(data: LabelledImages, of: Bundle = bundle) -> RunSettings:
        return settings_of({"it": Detector(corners, of)}, data, BUILTIN[:2], limit=3, seed=4)

    data = corner_images(8, seed=1)
    first = settings(data)
    assert first == settings(data)
    assert (first.classifier, first.limit, first.seed) == (corners.digest(), 3, 4)
    assert list(first.attacks) == [spec.name for spec in BUILTIN[:2]]
    assert first.attacks[BUILTIN[0].name].startswith(BUILTIN[0].title)
    relabelled = LabelledImages(images=data.images, labels=data.labels.flip(0))
    assert len({first.images, settings(relabelled).images, settings(corner_images(8, seed=2)).images}) == 3
    remade = bundle.replaced(record=bundle.record.model_copy(update={"created": "later", "seconds": 1e9}))
    other = bundle.replaced(mixing=bundle.mixing * 0.5)
    assert bundle_digest(remade) == first.bundles["it"] != bundle_digest(other)
