import dataclasses

import numpy as np
import pytest
import torch

from detector.types import LabelledImages, no_progress
from models.digits import load_digits_images
from models.registry import registered
from service.errors import InputError
from service.studies import training
from service.studies.report import StudyRequest
from service.studies.serialised import as_document
from service.studies.training import trained_in_stages
from service.studies.training_report import Snapshot, findings_of

FIRST = Snapshot(
    step=0,
    accuracy=0.1,
    straight=np.zeros(20),
    bypassed=np.zeros(20),
    ends=np.full(20, 2.3),
    moved=np.full(20, np.nan),
    flat=1e-3,
)
LAST = dataclasses.replace(FIRST, step=9, accuracy=0.9, straight=np.linspace(1, 2, 20), moved=np.linspace(0.2, 0.4, 20))


def test_barriers_that_training_raises_and_a_bypass_removes_agree():
    untrained, every, growth, near = findings_of((FIRST, LAST), seed=0)
    assert [untrained.agrees, every.agrees, growth.agrees, near.agrees] == [None, None, True, True]
    assert "1.5 (" in growth.measured


def test_barriers_that_a_bypass_leaves_disagree_at_their_stage():
    stuck = dataclasses.replace(LAST, bypassed=LAST.straight / 2, moved=np.full(20, 7.0))
    untrained, every, _, near = findings_of((FIRST, stuck), seed=0)
    assert (untrained.agrees, every.agrees, near.agrees) == (None, False, False)


def test_stages_begin_before_training_and_end_with_it():
    entry, (train, _) = registered("digits"), load_digits_images()
    settings = dataclasses.replace(entry.training, epochs=1)
    data = LabelledImages(images=train.images, labels=train.labels)
    stages = trained_in_stages(entry, data, settings, torch.device("cpu"), no_progress)
    assert min(stages) == 0 and max(stages) == 900 // 64
    first = entry.untrained(settings.seed).network.state_dict()
    assert all(torch.equal(stages[0][name], tensor) for name, tensor in first.items())
    assert not torch.equal(stages[0]["head.weight"], stages[14]["head.weight"])


def test_digits_are_learned_and_measured_at_every_stage(digits_request, monkeypatch):
    monkeypatch.setitem(training.EPOCHS, "digits", 4)
    data = as_document(training.run(digits_request(6), no_progress))["data"]
    stages = data["snapshots"]
    assert stages[0]["step"] == 0
    assert stages[0]["accuracy"] < 0.4 and stages[-1]["accuracy"] > 0.8
    assert all(len(stage["straight"]) == 6 for stage in stages)


def test_a_spec_cannot_be_trained(tmp_path):
    with pytest.raises(InputError, match="a spec does not say how"):
        training.run(StudyRequest(out=tmp_path, classifier="mine.toml"), no_progress)
