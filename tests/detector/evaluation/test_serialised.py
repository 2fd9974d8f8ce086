import json

import numpy as np
import torch

from detector.evaluation.experiment import Experiment
from detector.evaluation.results import DetectorFigures, Judgement, false_positives
from detector.evaluation.serialised import RESULTS_SCHEMA_VERSION, as_document
from detector.types import LabelledImages


def _data(n_images: int) -> LabelledImages:
    return LabelledImages(
        images=torch.zeros(n_images, 1, 2, 2, dtype=torch.uint8), labels=torch.zeros(n_images, dtype=torch.int64)
    )


def test_where_no_attack_succeeded_the_summary_is_null_and_the_document_valid_json() -> None:
    clean = Judgement(
        scores=np.zeros(3), p_values=np.array([0.04, 0.5, 0.9]), barriers=np.zeros(3), suspected=np.full(3, -1)
    )
    figures = DetectorFigures(
        name="it", forward_equivalents=7.0, clean=false_positives(clean), misclassified=(), attacks={}
    )
    experiment = Experiment(
        clean=_data(3),
        misclassified=_data(1),
        n_seen=2,
        attacked={},
        figures={"it": figures},
        judgements={"it": {"clean": clean}},
    )
    document = json.loads(json.dumps(as_document(experiment), allow_nan=False))
    assert document["schema_version"] == RESULTS_SCHEMA_VERSION
    assert (document["n_clean"], document["n_misclassified"], document["n_seen_in_calibration"]) == (3, 1, 2)
    assert document["accuracy"] == 0.75
    detector = document["detectors"]["it"]
    assert detector["summary"]["mean_auroc"] is None
    assert detector["summary"]["worst_auroc"] is None
    assert detector["summary"]["mean_tpr"] == {"0.01": None, "0.05": None}
    assert detector["misclassified"] == {}
    assert detector["clean"]["0.05"]["value"] == 1 / 3
