import pytest

from detector.bundle_record import ProxySource
from service.calibration_costs import LEARNED_ALONE, MEASURED, Measured, notes_on


def test_figures_read_as_a_sentence():
    found = Measured(mean_auroc=0.9, worst_auroc=0.8125, flagged=0.614, false_alarms=0.052)
    assert str(found) == "mean AUROC 0.900, worst 0.812, 61% of attacks flagged with 5.2% false alarms"


def test_every_way_to_calibrate_was_measured():
    assert MEASURED.keys() == set(ProxySource)
    for found in (*MEASURED.values(), LEARNED_ALONE):
        assert 0.5 < found.worst_auroc <= found.mean_auroc < 1
        assert 0 < found.false_alarms < found.flagged < 1


def test_nothing_is_to_be_said_of_proxies_made_with_gradients():
    assert notes_on(ProxySource.GRADIENT) == ()


@pytest.mark.parametrize(
    ("source", "how"),
    [(ProxySource.BLACK_BOX, "proxies from a black-box attack"), (ProxySource.NONE, "clean images alone")],
)
def test_a_note_says_what_was_done_and_what_that_costs(source, how):
    (note,) = notes_on(source)
    assert how in note
    assert all(str(found) in note for found in (*MEASURED.values(), LEARNED_ALONE))
