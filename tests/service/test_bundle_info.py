import json
from types import SimpleNamespace

import pytest
import torch

from detector.bundle_record import ProxySource
from detector.prototypes.prototype_set import PrototypeKind
from service import bundle_info
from service.bundle_info import run_info, summarise
from service.errors import InputError


class Record:
    proxies = ProxySource.GRADIENT

    def model_dump(self, *, mode):
        assert mode == "json"
        return {"classifier": "digits", "measured": {"accuracy": 0.98765}, "prototype_kinds": ["learned", "learned"]}


@pytest.fixture
def bundle(monkeypatch):
    found = SimpleNamespace(
        record=Record(),
        prototypes=SimpleNamespace(kinds=(PrototypeKind.LEARNED,) * 2, n_prototypes=2),
        mixing=torch.tensor([0.125, 0.5]),
        expected_forward_equivalents=5.0,
        conformal=SimpleNamespace(scores=torch.zeros(19)),
    )
    monkeypatch.setattr(bundle_info, "open_bundle", {"mine": found}.__getitem__)
    return found


def test_the_summary_adds_what_follows_from_the_tensors(bundle):
    summary = summarise(bundle)
    assert summary["classifier"] == "digits"
    assert summary["prototype_kinds"] == {"learned": 2}
    assert (summary["prototypes_per_label"], summary["forward_equivalents"]) == (2, 5)
    assert summary["calibration_scores"] == 19
    assert summary["mixing"] == [0.125, 0.5]
    assert summary["holds_images"] is False


def test_the_summary_says_whether_anybodys_images_are_in_the_bundle(bundle):
    bundle.prototypes.kinds = (PrototypeKind.NOISE, PrototypeKind.LEARNED_FROM_IMAGES)
    assert summarise(bundle)["holds_images"] is True


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (ProxySource.GRADIENT, "proxies that follow the classifier's gradient"),
        (ProxySource.BLACK_BOX, "proxies from a black-box attack, which has logits alone"),
        (ProxySource.NONE, "clean images alone"),
    ],
)
def test_the_summary_says_in_words_how_the_bundle_was_calibrated(bundle, monkeypatch, source, words):
    monkeypatch.setattr(Record, "proxies", source)
    assert summarise(bundle)["calibrated_with"] == words


def test_json_is_the_summary(bundle, capsys):
    run_info("mine", prototypes=None, json=True)
    assert json.loads(capsys.readouterr().out) == summarise(bundle)


def test_prototypes_are_drawn_where_a_file_is_named_for_them(bundle, monkeypatch, tmp_path, capsys):
    drawn = []
    monkeypatch.setattr(bundle_info, "write_prototypes", lambda *arguments: drawn.append(arguments))
    run_info("mine", prototypes=tmp_path / "a.png", json=True)
    assert drawn == [(bundle, tmp_path / "a.png")]
    assert json.loads(capsys.readouterr().out) == summarise(bundle)


@pytest.mark.usefixtures("bundle")
def test_a_picture_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(InputError, match="cannot be written"):
        run_info("mine", prototypes=tmp_path / "file" / "a.png", json=False)


@pytest.mark.usefixtures("bundle")
def test_people_read_a_table(capsys):
    run_info("mine", prototypes=None, json=False)
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["measured", "accuracy", "0.9877"] in lines
    assert ["prototype", "kinds", "learned", "2"] in lines
