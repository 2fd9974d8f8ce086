"""An audit goes on with what it began with."""

import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from service.errors import InputError
from service.offline.folder.contract import Contract, read_contract, resumed
from service.offline.folder.names import CONTRACT_FILE


@pytest.fixture
def contract(source: Any, contract_of: Callable[..., Contract]) -> Contract:
    return contract_of(source)


def changed(contract: Contract, **changes: Any) -> Contract:
    return contract.model_copy(update=changes)


def test_a_contract_is_read_as_it_was_written(tmp_path: Path, contract: Contract) -> None:
    odd = os.fsdecode(b"/pictures/\xff\xfe \xc3\xa9")
    written = changed(contract, source={"kind": "folder", "location": odd}, columns=(("weight", "double"),))
    (tmp_path / CONTRACT_FILE).write_bytes(written.as_bytes())
    assert read_contract(tmp_path) == written
    resumed(tmp_path, read_contract(tmp_path), written)


@pytest.mark.parametrize(
    ("changes", "shown"),
    [
        ({"bundle": "large", "bundle_digest": "d" * 64}, f"bundle: was small ({'b' * 64}), is large ({'d' * 64})"),
        ({"classifier_digest": "e" * 64}, f"classifier: was digits ({'c' * 64}), is digits ({'e' * 64})"),
        ({"false_positive_rate": 0.01}, "false positive rate: was 0.05, is 0.01"),
        ({"labels": ("cat", "cow")}, "labels, number 1: was dog, is cow"),
        ({"labels": ("cat",)}, 'labels: was 2 (["cat", "dog"]), is 1 (["cat"])'),
        ({"preprocessing": {"height": 8, "width": 9}}, "preprocessing.width: was 8, is 9"),
        ({"source": {"kind": "folder", "location": "/other"}}, "source.location: was /pictures, is /other"),
        ({"source": {"kind": "folder"}}, "source.location: was /pictures, is absent"),
        ({"columns": (("weight", "double"),)}, 'columns: was 0 ([]), is 1 ([["weight", "double"]])'),
        ({"shard_size": 64}, "shard size: was 32, is 64"),
        ({"n_calibration": 100}, "n calibration: was 99, is 100"),
        ({"runtime": "onnxruntime"}, "runtime: was torch, is onnxruntime"),
    ],
)
def test_each_difference_is_shown(contract: Contract, changes: dict[str, Any], shown: str) -> None:
    with pytest.raises(InputError) as refusal:
        resumed(Path("audit"), contract, changed(contract, **changes))
    assert str(refusal.value) == (
        f"audit holds an audit that began with something else: {shown}. Call it as it was called then, or audit into "
        "another folder"
    )


def test_another_number_of_threads_is_said_and_not_refused(
    contract: Contract, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        resumed(Path("audit"), contract, changed(contract, n_threads=2))
    assert ["began with threads 1 and goes on with 2" in record.message for record in caplog.records] == [True]


def test_all_differences_are_shown_at_once(contract: Contract) -> None:
    with pytest.raises(InputError, match=r"(?s)false positive rate: was .*shard size: was 32, is 1"):
        resumed(Path("audit"), contract, changed(contract, shard_size=1, false_positive_rate=0.2))


def test_a_bundle_that_was_moved_is_the_same(contract: Contract, caplog: pytest.LogCaptureFixture) -> None:
    resumed(Path("audit"), contract, changed(contract, bundle="elsewhere", classifier="digits.toml"))
    assert not caplog.records


def test_an_audit_goes_on_in_chunks_as_they_were_on_a_device_that_would_take_others(contract: Contract) -> None:
    now = changed(contract, chunk_images=256, device="cuda", n_threads=None)
    assert resumed(Path("audit"), contract, now) == changed(now, chunk_images=16)


@pytest.mark.parametrize("name", ["device", "isthmus_version", "torch_version"])
def test_another_machine_is_said_and_not_refused(
    contract: Contract, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        resumed(Path("audit"), contract, changed(contract, **{name: "newer"}))
    assert [name.replace("_", " ") in record.message for record in caplog.records] == [True]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"{", "cannot be read"),
        (b"[]", "damaged: the whole"),
        (b'{"schema_version": 99}', "upgrade isthmus"),
        (b'{"schema_version": 1}', "damaged: bundle: Field required"),
        (b'{"schema_version": 1, "chunk_images": 0}', "damaged: bundle: Field required"),
    ],
)
def test_a_contract_that_cannot_be_read_is_refused(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / CONTRACT_FILE).write_bytes(content)
    with pytest.raises(InputError, match=said):
        read_contract(tmp_path)


def test_a_folder_without_an_audit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no audit"):
        read_contract(tmp_path / "nothing")
