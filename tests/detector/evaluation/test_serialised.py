import dataclasses
import json
from typing import Any

import numpy as np
import pytest
import torch

from detector.evaluation.adaptive import AdaptiveFigures
from detector.evaluation.attacked import AttackedImages
from detector.evaluation.attacks import BUILTIN
from detector.evaluation.baselines import BaselineAttackFigures, BaselineFigures
from detector.evaluation.benign import BenignFigures
from detector.evaluation.corruptions import Corruption
from detector.evaluation.experiment import Experiment
from detector.evaluation.judgements import Judgement, false_positives
from detector.evaluation.metrics import Estimate
from detector.evaluation.results import DetectorFigures, attack_figures, worst_case_of
from detector.evaluation.serialised import RESULTS_SCHEMA_VERSION, as_document
from detector.types import LabelledImages

TOP = {
    "schema_version",
    "bundle",
    "run",
    "n_clean",
    "n_misclassified",
    "n_seen_in_calibration",
    "accuracy",
    "baselines",
    "skipped",
    "others",
}
EACH = {"attacks", "clean", "misclassified", "benign", "adaptive", "summary", "cost"}

FEW, NONE, SKIPPED = BUILTIN[:3]


def _data(n_images: int) -> LabelledImages:
    return LabelledImages(
        images=torch.zeros(n_images, 1, 2, 2, dtype=torch.uint8), labels=torch.zeros(n_images, dtype=torch.int64)
    )


def _judgement(*p_values: float) -> Judgement:
    values = np.array(p_values)
    return Judgement(
        scores=-values, p_values=values, barriers=np.zeros(len(values)), suspected=np.full(len(values), -1)
    )


def _attacked(n: int) -> AttackedImages:
    return AttackedImages(
        images=torch.zeros(n, 1, 2, 2),
        sources=torch.arange(n),
        true_labels=torch.zeros(n, dtype=torch.int64),
        n_tried=4,
        n_invalid=0,
        l2=torch.full((n,), 0.5),
        linf=torch.full((n,), 0.25),
        survives_rounding=0.5,
        seconds=1.5,
    )


CLEAN = _judgement(0.04, 0.5, 0.9)


@pytest.fixture
def experiment() -> Experiment:
    """Two bundles of the same figures: one attack succeeded twice, one never, and one was skipped."""
    attacked, judged = {FEW.name: _attacked(2), NONE.name: _attacked(0)}, {FEW.name: _judgement(0.01, 0.3)}
    figures = DetectorFigures(
        name="it",
        forward_equivalents=7.0,
        images_per_second=99.0,
        clean=false_positives(CLEAN),
        misclassified=(),
        attacks={FEW.name: attack_figures(CLEAN, attacked[FEW.name], judged[FEW.name], seed=0)},
        worst_case=worst_case_of(CLEAN, attacked, judged, seed=0),
        benign=(BenignFigures(corruption=Corruption("jpeg"), severity=2, n=0, still_right=0.0, false_positives=()),),
        adaptive=(
            AdaptiveFigures(
                name="square",
                title="Square",
                radius=0.1,
                n=4,
                reached=Estimate(0.5, 0.25, 0.75),
                evaded={0.01: Estimate(0.5, 0.25, 0.75), 0.05: Estimate(0.0, 0.0, 0.5)},
                evaded_rounded=0.0,
                undefended=1.0,
                first_loss=2.0,
                last_loss=float("nan"),
                seconds=3.0,
            ),
        ),
    )
    energy = BaselineFigures(
        name="energy",
        title="Energy",
        forward_equivalents=1.0,
        clean=false_positives(CLEAN),
        attacks={FEW.name: BaselineAttackFigures(n=2, auroc=Estimate(0.6, 0.5, 0.7), tpr={})},
    )
    return Experiment(
        clean=_data(3),
        misclassified=_data(1),
        n_seen=2,
        specs=(FEW, NONE, SKIPPED),
        attacked=attacked,
        skipped={SKIPPED.name: "too slow"},
        figures={"it": figures, "other": dataclasses.replace(figures, name="other")},
        judgements={"it": {"clean": CLEAN, **judged}, "other": {"clean": CLEAN, **judged}},
        baselines={"energy": energy},
    )


def _written(experiment: Experiment) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(json.dumps(as_document(experiment, {"seed": 0}), allow_nan=False))
    return document


def test_the_document_has_the_keys_of_its_schema(experiment: Experiment) -> None:
    document = _written(experiment)
    assert document["schema_version"] == RESULTS_SCHEMA_VERSION == 2
    assert document.keys() == TOP | EACH
    assert document["others"].keys() == {"other"}
    assert document["others"]["other"].keys() == EACH
    assert (document["bundle"], document["run"], document["skipped"]) == ("it", {"seed": 0}, {SKIPPED.name: "too slow"})
    assert (document["n_clean"], document["n_misclassified"], document["n_seen_in_calibration"]) == (3, 1, 2)
    assert document["accuracy"] == 0.75


def test_an_attack_has_plain_numbers_and_is_said_to_count_or_not(experiment: Experiment) -> None:
    row = _written(experiment)["attacks"][FEW.name]
    figures = experiment.figures["it"].attacks[FEW.name]
    assert (row["title"], row["method"], row["strength"]) == (FEW.title, FEW.method, FEW.strength)
    assert (row["n_tried"], row["n_invalid"], row["n"], row["success_rate"]) == (4, 0, 2, 0.5)
    assert not row["in_summary"]
    assert (row["mean_l2"], row["mean_linf"], row["survives_rounding"]) == (0.5, 0.25, 0.5)
    assert (row["auroc"], row["auroc_interval"]) == (5 / 6, [figures.auroc.lower, figures.auroc.upper])
    assert row["tpr"] == {"0.01": 0.5, "0.05": 0.5}
    assert row["tpr_interval"]["0.05"] == [figures.tpr[0.05].lower, figures.tpr[0.05].upper]
    assert (row["recovered"], row["recovered_interval"]) == (None, None)


def test_an_attack_that_never_succeeded_has_nulls(experiment: Experiment) -> None:
    row = _written(experiment)["attacks"][NONE.name]
    assert (row["n"], row["success_rate"], row["auroc"], row["mean_l2"]) == (0, 0.0, None, None)
    assert row["tpr"] == {"0.01": None, "0.05": None} == row["tpr_interval"]
    assert SKIPPED.name not in _written(experiment)["attacks"]


def test_natural_images_and_corruptions_have_the_same_figures(experiment: Experiment) -> None:
    document = _written(experiment)
    assert document["clean"]["n"] == 3
    assert document["clean"]["flagged"] == {"0.01": 0.0, "0.05": 1 / 3}
    assert document["clean"]["within_binomial"] == {"0.01": True, "0.05": True}
    assert (document["misclassified"]["n"], document["misclassified"]["flagged"]["0.05"]) == (0, None)
    (benign,) = document["benign"]
    assert (benign["corruption"], benign["severity"], benign["n"], benign["still_right"]) == ("jpeg", 2, 0, 0.0)
    assert benign.keys() == document["clean"].keys() | {"corruption", "severity", "still_right"}


def test_attacks_that_know_the_bundle_and_baselines_are_told(experiment: Experiment) -> None:
    document = _written(experiment)
    adaptive = document["adaptive"]["square"]
    assert (adaptive["reached"], adaptive["reached_interval"]) == (0.5, [0.25, 0.75])
    assert (adaptive["evaded"], adaptive["undefended"]) == ({"0.01": 0.5, "0.05": 0.0}, 1.0)
    assert (adaptive["first_loss"], adaptive["last_loss"]) == (2.0, None)
    baseline = document["baselines"]["energy"]
    assert (baseline["title"], baseline["clean"]["n"], baseline["attacks"][FEW.name]["auroc"]) == ("Energy", 3, 0.6)
    assert baseline["summary"] == {"mean_auroc": None, "worst_auroc": None, "mean_tpr": {"0.01": None, "0.05": None}}


def test_without_an_attack_that_counts_the_summary_is_null_but_for_the_worst_case(experiment: Experiment) -> None:
    summary = _written(experiment)["summary"]
    assert (summary["mean_auroc"], summary["worst_auroc"], summary["small_recovered"]) == (None, None, None)
    assert summary["mean_tpr"] == {"0.01": None, "0.05": None}
    assert (summary["worst_case"]["n"], summary["worst_case"]["auroc"]) == (2, 5 / 6)


def test_all_that_is_timed_is_under_cost(experiment: Experiment) -> None:
    assert _written(experiment)["cost"] == {
        "forward_equivalents": 7.0,
        "images_per_second": 99.0,
        "attack_seconds": {FEW.name: 1.5, NONE.name: 1.5},
        "adaptive_seconds": {"square": 3.0},
    }
    others = {**_written(experiment), "cost": None, "others": None}
    assert "seconds" not in json.dumps(others)
