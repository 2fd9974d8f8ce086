import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from detector import bundle as module
from detector.bundle import TENSOR_FILE, Bundle, digest_rows
from detector.bundle_record import RECORD_FILE, SCHEMA_VERSION, AuxiliaryRecord, HeadKind, ProxySource, is_bundle
from detector.early_exit import Look
from detector.smoothing import Smoothing
from detector.types import BundleError, DetectorError


def _names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest.fixture
def saved(bundle: Bundle, tmp_path: Path) -> Path:
    bundle.save(tmp_path / "bundle")
    return tmp_path / "bundle"


def test_a_bundle_comes_back_bit_by_bit(bundle: Bundle, saved: Path) -> None:
    loaded = Bundle.load(saved)
    assert loaded.record.model_dump(mode="json") == bundle.record.model_dump(mode="json")
    before, after = bundle._tensors(), loaded._tensors()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) and before[name].dtype == after[name].dtype for name in before)
    features = torch.randn(3, bundle.record.n_features, generator=torch.Generator().manual_seed(0))
    assert torch.equal(bundle.head(features), loaded.head(features))
    assert not loaded.head.training


def test_a_bundle_is_one_json_file_and_one_of_tensors_without_pickle(saved: Path) -> None:
    assert _names(saved) == {RECORD_FILE, TENSOR_FILE}
    assert b"torch" not in (saved / TENSOR_FILE).read_bytes()
    assert json.loads((saved / RECORD_FILE).read_text())["schema_version"] == SCHEMA_VERSION
    load_file(saved / TENSOR_FILE)


def test_a_bundle_may_replace_a_bundle_and_an_empty_folder(bundle: Bundle, saved: Path, tmp_path: Path) -> None:
    bundle.save(saved)
    (tmp_path / "empty").mkdir()
    bundle.save(tmp_path / "empty")
    bundle.save(tmp_path / "new" / "deep")
    assert _names(tmp_path) == {"bundle", "empty", "new"}
    for folder in (saved, tmp_path / "empty", tmp_path / "new" / "deep"):
        Bundle.load(folder)


def test_a_folder_that_is_no_bundle_is_not_overwritten(bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(BundleError, match="exists and is not a bundle; name another folder"):
        bundle.save(tmp_path)
    with pytest.raises(BundleError, match="exists and is not a bundle"):
        bundle.save(tmp_path / "thesis.tex")
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


def _fail(*_: Any, **__: Any) -> None:
    raise OSError("no space left on device")


@pytest.mark.parametrize("step", ["writing", "renaming"])
def test_a_failure_while_saving_leaves_the_old_bundle(
    bundle: Bundle,
    saved: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    step: str,
    change_record: Callable[..., None],
) -> None:
    change_record(saved, seed=77)
    replace = Path.replace
    if step == "writing":
        monkeypatch.setattr(module, "save", _fail)
    else:
        # Only the last of the renamings, that of the new bundle, fails.
        monkeypatch.setattr(
            Path, "replace", lambda self, target: _fail() if "partial" in self.name else replace(self, target)
        )
    with pytest.raises(OSError, match="no space left"):
        bundle.save(saved)
    assert _names(tmp_path) == {"bundle"}
    assert Bundle.load(saved).record.seed == 77


def test_a_failure_while_saving_for_the_first_time_leaves_nothing(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "save", _fail)
    with pytest.raises(OSError, match="no space left"):
        bundle.save(tmp_path / "bundle")
    assert _names(tmp_path) == set()


def test_an_interrupt_while_saving_leaves_the_old_bundle(
    bundle: Bundle, saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "save", interrupt)
    with pytest.raises(KeyboardInterrupt):
        bundle.save(saved)
    assert _names(tmp_path) == {"bundle"}
    Bundle.load(saved)


def test_what_a_killed_process_left_does_not_stop_the_next(bundle: Bundle, saved: Path, tmp_path: Path) -> None:
    for ending in ("partial", "retired"):
        left = tmp_path / f".bundle.{os.getpid()}.{ending}"
        left.mkdir()
        (left / "half").write_text("")
    bundle.save(saved)
    assert _names(tmp_path) == {"bundle"}


def test_a_folder_without_a_record_is_no_bundle(tmp_path: Path) -> None:
    assert not is_bundle(tmp_path)
    for folder in (tmp_path, tmp_path / "missing"):
        with pytest.raises(BundleError, match=r"is no bundle: it has no bundle\.json"):
            Bundle.load(folder)


def test_a_file_is_no_bundle(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BundleError, match=RECORD_FILE):
        Bundle.load(tmp_path / "file")


def test_a_newer_schema_asks_for_an_upgrade(saved: Path, change_record: Callable[..., None]) -> None:
    change_record(saved, schema_version=SCHEMA_VERSION + 1)
    with pytest.raises(BundleError, match=f"schema {SCHEMA_VERSION + 1}, .* up to {SCHEMA_VERSION}; upgrade"):
        Bundle.load(saved)


@pytest.mark.parametrize("content", ["", "{", "[]", "null", "{}", '{"schema_version": "one"}', "\ufeff{}"])
def test_a_damaged_record_is_named(saved: Path, content: str) -> None:
    (saved / RECORD_FILE).write_text(content)
    with pytest.raises(BundleError, match=f"{RECORD_FILE} .*; copy the bundle again"):
        Bundle.load(saved)


def test_bytes_that_are_no_text_are_named(saved: Path) -> None:
    (saved / RECORD_FILE).write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BundleError, match="cannot be read"):
        Bundle.load(saved)


@pytest.mark.parametrize(
    ("changes", "field"),
    [({"seed": "many"}, "seed"), ({"prototype_kinds": ["painted"]}, "prototype_kinds.0"), ({"extra": 1}, "extra")],
)
def test_a_field_that_does_not_fit_is_named(
    saved: Path, changes: dict[str, Any], field: str, change_record: Callable[..., None]
) -> None:
    change_record(saved, **changes)
    with pytest.raises(BundleError, match=f"{RECORD_FILE}: {field}: .*copy the bundle again"):
        Bundle.load(saved)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.999])
def test_truncated_tensors_are_named(saved: Path, share: float) -> None:
    content = (saved / TENSOR_FILE).read_bytes()
    (saved / TENSOR_FILE).write_bytes(content[: int(share * len(content))])
    with pytest.raises(BundleError, match=f"{TENSOR_FILE} is damaged"):
        Bundle.load(saved)


def test_missing_tensors_are_named(saved: Path) -> None:
    (saved / TENSOR_FILE).unlink()
    with pytest.raises(BundleError, match=f"{TENSOR_FILE} is damaged"):
        Bundle.load(saved)


@pytest.mark.parametrize("name", ["mixing", "head.mean", "means.logits", "conformal.scores", "claim_weights"])
def test_a_tensor_that_is_missing_is_named(saved: Path, name: str) -> None:
    tensors = load_file(saved / TENSOR_FILE)
    del tensors[name]
    save_file(tensors, saved / TENSOR_FILE)
    with pytest.raises(BundleError, match=name.removeprefix("head.")) as raised:
        Bundle.load(saved)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(("name", "shape"), [("head.mean", (3,)), ("prototypes.available", (1,))])
def test_tensors_that_do_not_fit_their_record_are_refused(saved: Path, name: str, shape: tuple[int, ...]) -> None:
    tensors = load_file(saved / TENSOR_FILE)
    tensors[name] = torch.zeros(shape)
    save_file(tensors, saved / TENSOR_FILE)
    with pytest.raises(BundleError, match="does not fit"):
        Bundle.load(saved)


def test_a_bundle_of_an_older_schema_has_a_learned_head_and_proxies_made_with_gradients(
    bundle: Bundle, saved: Path
) -> None:
    record = json.loads((saved / RECORD_FILE).read_text())
    for field in ("head", "proxies", "notes"):
        del record[field]
    (saved / RECORD_FILE).write_text(json.dumps(record | {"schema_version": 3}))
    loaded = Bundle.load(saved)
    assert (loaded.record.head, loaded.record.proxies) == (HeadKind.LEARNED, ProxySource.GRADIENT)
    features = torch.zeros(1, bundle.record.n_features)
    assert torch.equal(loaded.head(features), bundle.head(features))


def test_tensors_of_another_kind_of_head_are_refused(saved: Path, change_record: Callable[..., None]) -> None:
    change_record(saved, head="typicality")
    with pytest.raises(BundleError, match="does not fit"):
        Bundle.load(saved)


def test_another_classifier_is_refused_by_its_digest(bundle: Bundle, corners: Any) -> None:
    bundle.check_classifier(corners)
    corners.name = "retrained"
    with pytest.raises(BundleError, match=rf"calibrated for corners .*{corners.digest()[:12]}"):
        bundle.check_classifier(corners)


def test_a_verdict_costs_one_pass_and_one_for_every_waypoint_and_smoothed_version(bundle: Bundle) -> None:
    assert bundle.forward_equivalents == 1 + 2 * 2 + 1


def test_digests_are_kept_sorted() -> None:
    assert digest_rows([b"bbbbbbbb", b"aaaaaaaa"]).tolist() == [[97] * 8, [98] * 8]
    assert digest_rows([]).shape == (0, 8)


def test_every_failure_is_a_detector_error(saved: Path, calibrated: Callable[..., Bundle]) -> None:
    (saved / TENSOR_FILE).write_bytes(b"not tensors")
    with pytest.raises(DetectorError):
        Bundle.load(saved)


def test_figures_that_are_noted_stand_beside_the_others_and_other_fields_change_with_them(bundle: Bundle) -> None:
    before = dict(bundle.record.measured)
    noted = bundle.noted({"gain": 0.5}, notes=("found",))
    assert noted.record.measured == before | {"gain": 0.5}
    assert noted.record.notes == ("found",)
    assert bundle.record.measured == before
    assert bundle.noted({"gain": 0.5}, measured={"old": 1.0}).record.measured == {"old": 1.0, "gain": 0.5}


def test_a_first_look_may_take_in_what_the_full_evidence_does(bundle: Bundle) -> None:
    plain = bundle.record.model_copy(update={"smoothings": (), "auxiliary": None})
    auxiliary = AuxiliaryRecord(classifier="other", classifier_digest="", blocks=(), n_prototypes=0)
    both = plain.model_copy(update={"smoothings": (Smoothing.MEDIAN,), "auxiliary": auxiliary})
    assert plain.possible_looks == ()
    assert set(both.possible_looks) == {Look.AUXILIARY, Look.SMOOTHED}


@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o077, 0o600)])
def test_whoever_may_read_new_files_may_read_a_bundle(bundle: Bundle, tmp_path: Path, mask: int, mode: int) -> None:
    before = os.umask(mask)
    try:
        bundle.save(tmp_path / "bundle")
    finally:
        os.umask(before)
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "bundle").iterdir()} == {mode}
