import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from detector.bundle import TENSOR_FILE, Bundle
from detector.bundle_record import RECORD_FILE
from detector.types import BundleError


def test_an_early_exit_comes_back_bit_by_bit(leaving: Bundle, tmp_path: Path) -> None:
    leaving.save(tmp_path / "leaving")
    loaded = Bundle.load(tmp_path / "leaving")
    assert leaving.early_exit is not None
    assert loaded.early_exit is not None
    assert loaded.record.early_exit == leaving.record.early_exit
    for field in ("looks", "leave_below", "ordinary_below"):
        assert getattr(loaded.early_exit, field) == getattr(leaving.early_exit, field)
    features = torch.randn(5, leaving.early_exit.head.n_features, generator=torch.Generator().manual_seed(0))
    assert torch.equal(loaded.early_exit.first_scores(features), leaving.early_exit.first_scores(features))
    assert loaded.expected_forward_equivalents == 1 + 0.5 * (loaded.forward_equivalents - 1)


def test_a_bundle_of_an_older_schema_has_no_early_exit(bundle: Bundle, tmp_path: Path) -> None:
    saved = tmp_path / "bundle"
    bundle.save(saved)
    content = json.loads((saved / RECORD_FILE).read_text())
    del content["early_exit"]
    (saved / RECORD_FILE).write_text(json.dumps(content | {"schema_version": 4}))
    assert Bundle.load(saved).early_exit is None


@pytest.mark.parametrize(
    "changes",
    [
        {"n_features": 3},
        {"hidden": [7]},
        {"looks": ["everything"]},
        {"leave_below": float("nan")},
        {"ordinary_below": float("inf")},
        {"leaving_share": 1.0},
    ],
)
def test_an_early_exit_that_does_not_fit_is_refused(
    leaving: Bundle, tmp_path: Path, changes: dict[str, Any], change_record: Callable[..., None]
) -> None:
    leaving.save(tmp_path / "leaving")
    found = json.loads((tmp_path / "leaving" / RECORD_FILE).read_text())["early_exit"]
    change_record(tmp_path / "leaving", early_exit=found | changes)
    with pytest.raises(BundleError, match="copy the bundle again"):
        Bundle.load(tmp_path / "leaving")


@pytest.mark.parametrize("judge", ["first_head.", "first_ordinary."])
def test_an_early_exit_without_one_of_its_judges_is_refused(leaving: Bundle, tmp_path: Path, judge: str) -> None:
    leaving.save(tmp_path / "leaving")
    tensors = load_file(tmp_path / "leaving" / TENSOR_FILE)
    kept = {name: tensor for name, tensor in tensors.items() if not name.startswith(judge)}
    save_file(kept, tmp_path / "leaving" / TENSOR_FILE)
    with pytest.raises(BundleError, match="damaged or does not fit"):
        Bundle.load(tmp_path / "leaving")
