import dataclasses

import numpy as np
import pytest

from detector.evaluation.attacks import deepfool, pgd
from detector.evaluation.metrics import Estimate
from detector.types import no_progress
from service.errors import InputError
from service.studies import attacked_barriers
from service.studies.attacked_barriers_report import AttackedBarriers, PathFigures, findings_of, report_of
from service.studies.page import render_study
from service.studies.serialised import as_document

pytestmark = pytest.mark.usefixtures("few_resamples")


def figures(values) -> PathFigures:
    array = np.asarray(values, dtype=np.float64)
    return PathFigures(barriers=array, highest=array, at_image=array, midway=array)


def measured(**aurocs: Estimate) -> AttackedBarriers:
    groups = {"clean": figures([0, 1, 2, 3])} | {name: figures([4, 5, 6, 7]) for name in aurocs}
    kinds = ("barrier", "highest", "image alone")
    return AttackedBarriers(
        groups=groups,
        success=dict.fromkeys(aurocs, 1.0),
        aurocs={name: dict.fromkeys(kinds, estimate) for name, estimate in aurocs.items()},
        n_tried=4,
        n_references=9,
    )


HIGH, LOW, OPEN = Estimate(0.9, 0.8, 1.0), Estimate(0.2, 0.1, 0.3), Estimate(0.5, 0.4, 0.6)


@pytest.mark.parametrize(
    ("aurocs", "agrees"),
    [({"df": HIGH, "cw": HIGH}, True), ({"df": HIGH, "pgd": LOW}, False), ({"df": HIGH, "cw": OPEN}, None)],
)
def test_the_claim_holds_where_every_attack_has_larger_barriers(aurocs, agrees):
    barrier, highest, _ = findings_of(measured(**aurocs), seed=0)
    assert (barrier.agrees, highest.agrees) == (agrees, agrees)


def test_the_sentence_says_which_attacks_agree_and_which_do_not():
    sentence = findings_of(measured(df=HIGH, pgd=LOW, cw=OPEN), seed=0)[0].measured
    assert "above ½ for: df 0.9 (0.8 to 1)." in sentence
    assert "smaller than for clean images: pgd 0.2 (0.1 to 0.3)." in sentence
    assert "Not settled: cw 0.5 (0.4 to 0.6)." in sentence


def test_surer_attacks_with_lower_paths_agree_and_with_higher_ones_do_not():
    found = measured(df=HIGH)
    sure = np.linspace(0, 1, 30)
    for midway, agrees in ((sure, True), (-sure, False)):
        group = PathFigures(barriers=sure, highest=sure, at_image=sure, midway=midway)
        with_group = dataclasses.replace(found, groups=found.groups | {"df": group})
        assert findings_of(with_group, seed=0)[2].agrees is agrees


def test_an_attack_that_never_succeeds_has_a_row_without_figures():
    found = measured(df=HIGH)
    empty = dataclasses.replace(found, groups=found.groups | {"none": figures([])}, success={"df": 1.0, "none": 0.0})
    report = report_of(empty, (("classifier", "toy"),), seed=0)
    assert report.tables[0].rows[-1] == ("none", 0, 0.0, None, None, None, None, None)
    assert "none (0)" in render_study(report)


def test_attacked_digits_are_paired_with_references_of_the_label_they_feign(digits_request, monkeypatch):
    monkeypatch.setattr(attacked_barriers, "SUITE", {"pgd": pgd(0.3, steps=5), "df": deepfool()})
    data = as_document(attacked_barriers.run(digits_request(16), no_progress))["data"]
    groups = data["groups"]
    assert len(groups["clean"]["barrier"]) == 32
    assert len(groups["df"]["barrier"]) == round(16 * data["success_rate"]["df"])
    # On the boundary the label that the classifier names has about half of the probability.
    assert np.median(groups["df"]["image alone"]) == pytest.approx(np.log(2), abs=0.2)
    for group in groups.values():
        assert all(high >= own for high, own in zip(group["highest"], group["image alone"], strict=True))


def test_images_that_leave_no_reference_of_some_label_are_refused(digits_request):
    with pytest.raises(InputError, match="leave no reference of"):
        attacked_barriers.run(digits_request(430), no_progress)
