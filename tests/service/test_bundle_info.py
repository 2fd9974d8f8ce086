import json
from types import SimpleNamespace

import pytest
import torch

from detector.prototypes.prototype_set import PrototypeKind
from service import bundle_info
from service.bundle_info import run_info, summarise


class Record:
    def model_dump(self, *, mode):
        assert mode == "json"
        return {"classifier": "digits", "measured": {"accuracy": 0.98765}, "prototype_kinds": ["learned", "learned"]}


@pytest.fixture
def bundle(monkeypatch):
    found = SimpleNamespace(
        record=Record(),
        prototypes=SimpleNamespace(kinds=(PrototypeKind.LEARNED,) * 2, n_prototypes=2),
        forward_equivalents=5,
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


def test_json_is_the_summary(bundle, capsys):
    run_info("mine", json=True)
    assert json.loads(capsys.readouterr().out) == summarise(bundle)


@pytest.mark.usefixtures("bundle")
def test_people_read_a_table(capsys):
    run_info("mine", json=False)
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["measured", "accuracy", "0.9877"] in lines
    assert ["prototype", "kinds", "learned", "2"] in lines
