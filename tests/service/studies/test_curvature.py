import numpy as np
import pytest

from detector.types import no_progress
from service.errors import InputError
from service.studies import curvature
from service.studies.curvature_report import cost_text, findings_of, report_of
from service.studies.curvature_statistics import Foretold, Rival, hits, lead_over_controls, regret, spearman
from service.studies.serialised import as_document

pytestmark = pytest.mark.usefixtures("few_resamples")

TRUE = np.random.default_rng(0).permuted(np.tile(np.arange(4.0), (30, 1)), axis=1)


def foretold(predicted) -> Foretold:
    return Foretold(unit="nats", predicted=predicted, true=TRUE, at_prototype=TRUE, n_points=33)


@pytest.mark.parametrize(("sign", "agrees"), [(1, True), (-1, False)])
def test_a_prediction_that_is_right_agrees_and_one_that_is_backwards_does_not(sign, agrees):
    correlation = spearman(Rival(predicted=sign * TRUE, true=TRUE), seed=0)
    findings = findings_of(foretold(sign * TRUE), {"curvature": correlation}, None, seed=0)
    assert (findings[0].agrees, findings[2].agrees) == (agrees, agrees)


def test_the_lowest_prediction_is_held_against_chance():
    right, chance = hits(Rival(predicted=TRUE, true=TRUE))
    assert (right.mean(), chance.mean()) == (1.0, 0.25)
    excess, by_chance = regret(Rival(predicted=-TRUE, true=TRUE))
    assert (excess.mean(), by_chance.mean()) == (3.0, 1.5)


def test_of_equally_low_barriers_each_is_right():
    flat = np.zeros((5, 4))
    right, chance = hits(Rival(predicted=TRUE[:5], true=flat))
    assert (right.mean(), chance.mean()) == (1.0, 1.0)


def test_a_prediction_that_is_no_number_is_never_preferred():
    predicted = np.where(TRUE == 0, np.nan, TRUE)
    right, _ = hits(Rival(predicted=predicted, true=TRUE))
    assert right.mean() == 0


def test_choosing_and_measuring_one_path_costs_what_its_passes_cost():
    # 3 + 6·4 + 31 against 31·4, and 3 + 6·4 + 2 against 2·4.
    assert cost_text(4, 31) == "58 forward equivalents an image against 124 for measuring every path"
    assert cost_text(4, 2) == "29 forward equivalents an image against 8 for measuring every path"


def test_controls_stand_beside_the_prediction():
    report = report_of({"cross-entropy": foretold(TRUE)}, -TRUE, (("classifier", "toy"),), seed=0)
    # The height of the end is the true barrier in this toy, so curvature, right as it is, is no better.
    assert "length of the path −1 (−1 to −1)" in report.findings[1].measured
    assert "exceeds the better one by 0 (0 to 0)" in report.findings[1].measured
    assert report.findings[1].agrees is None
    assert [row[0] for row in report.tables[0].rows][1:] == [
        "control: length of the path",
        "control: height of its end",
    ]


def test_digits_have_prototypes_of_their_own_label(digits_request):
    data = as_document(curvature.run(digits_request(6), no_progress))["data"]
    paths = data["paths"]
    assert set(paths) == {"cross-entropy", "log-cross-entropy", "margin"}
    assert np.shape(paths["margin"]["true"]) == (6, curvature.N_PROTOTYPES)
    # Every end is named correctly: no other label leads there.
    assert (np.array(paths["margin"]["at_prototype"]) < 0).all()
    assert (np.array(data["lengths"]) > 0).all()


def test_more_images_than_there_are_beside_the_prototypes_are_refused(digits_request):
    with pytest.raises(InputError, match="give more images, or lower --limit"):
        curvature.run(digits_request(890), no_progress)


def test_the_lead_is_over_the_better_control():
    noise = np.random.default_rng(1).normal(size=TRUE.shape)
    rivals = {"curvature": TRUE, "control: noise": noise, "control: backwards": -TRUE}
    lead = lead_over_controls({name: Rival(predicted=values, true=TRUE) for name, values in rivals.items()}, seed=0)
    assert lead is not None and 0.7 < lead.lower < lead.upper < 1.3
