import logging
import threading

import torch

from service.observability.drift_monitor import REMEMBERED_IMAGES, DriftMonitor

SCORES = torch.arange(499, dtype=torch.float64)


def attacked(n_images: int) -> list[tuple[str, float | None]]:
    return [(f"image{number}", 0.002) for number in range(n_images)]


def test_the_log_says_when_the_alarm_goes_off_and_when_it_ends(caplog):
    monitor = DriftMonitor("toy", SCORES, 1e6)
    with caplog.at_level(logging.INFO, logger="service"):
        monitor.update(attacked(30))
        assert monitor.is_alarmed
        monitor.update([(f"clean{number}", (number * 37 % 500 + 1) / 500) for number in range(500)])
    assert not monitor.is_alarmed
    assert [(record.levelname, record.bundle) for record in caplog.records] == [("WARNING", "toy"), ("INFO", "toy")]
    assert monitor.n_alarms == 1


def test_an_image_that_comes_again_and_again_counts_once():
    monitor = DriftMonitor("toy", SCORES, 1e6)
    monitor.update([("probe", 0.002)] * 1000)
    assert monitor.summary()["n_images"] == 1
    assert not monitor.is_alarmed


def test_images_without_a_p_value_are_left_out():
    monitor = DriftMonitor("toy", SCORES, 1e6)
    monitor.update([("one", None), ("two", 0.5)])
    assert monitor.summary() == {
        "evidence": 0.0,
        "threshold": 6.0,
        "is_alarmed": False,
        "n_alarms": 0,
        "n_images": 1,
    }


def test_it_remembers_so_many_images_and_no_more():
    monitor = DriftMonitor("toy", SCORES, 1e6)
    monitor.update([(f"image{number}", 0.5) for number in range(REMEMBERED_IMAGES + 500)])
    assert len(monitor._recent) == REMEMBERED_IMAGES


def test_ties_of_the_calibration_scores_are_found():
    monitor = DriftMonitor("toy", torch.zeros(499), 1e6)
    monitor.update([(f"image{number}", 1.0) for number in range(1000)])
    assert not monitor.is_alarmed


def test_threads_lose_no_image():
    monitor = DriftMonitor("toy", SCORES, 1e6)
    threads = [
        threading.Thread(target=lambda k=k: monitor.update([(f"{k}-{i}", 0.5) for i in range(500)])) for k in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert monitor.summary()["n_images"] == 4000
