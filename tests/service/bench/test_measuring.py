import pytest
import torch

from detector.types import no_progress
from service.bench import measuring
from service.bench.contenders import Calibrated, Contender, open_contender
from service.bench.forward_rate import Forward, ForwardRate
from service.bench.measuring import best_ways, fastest, passes_of, per_image
from service.bench.steps import Work, work_of
from service.bench.timing import Lasting
from service.options import RuntimeName


@pytest.fixture(scope="module")
def digits():
    return open_contender(Contender(subject=Calibrated(bundle="digits"), device="cpu", runtime=RuntimeName.TORCH))


def rate(seconds):
    return ForwardRate(n_images=1, layout="contiguous", seconds=seconds, spread=None)


def test_the_fastest_way_is_that_of_the_best_median_not_of_the_best_round():
    steady, lucky = rate((2.0, 2.0, 2.0)), rate((0.1, 3.0, 3.0))
    assert fastest([lucky, steady]) is steady
    assert steady.images_per_second == 0.5


def test_seconds_an_image_are_those_of_a_round_over_its_images():
    assert per_image((4.0, 8.0), 4) == (1.0, 2.0)


def test_the_two_fastest_ways_of_the_bare_classifier_stay_and_are_found_once(digits, monkeypatch):
    taken = {1: 5.0, 2: 1.0, 4: 3.0}
    asked = []

    def forwards(opened, progress):
        asked.append(opened)
        return [Forward(n_images=size, layout="contiguous", run=lambda: None) for size in taken]

    def alternate(acts, rounds, progress):
        return dict(zip(acts, ((size * seconds,) * rounds for size, seconds in taken.items()), strict=True))

    monkeypatch.setattr(measuring, "forwards_of", forwards)
    monkeypatch.setattr(measuring, "alternate", alternate)
    monkeypatch.setattr(measuring, "lasting", lambda act, _: Lasting(act=act, n_repeats=1))
    [ways] = best_ways([digits, digits], no_progress).values()
    assert [way.n_images for way in ways] == [2, 4]
    assert len(asked) == 1


def test_passes_are_counted_with_torch_and_taken_for_granted_in_a_graph(digits):
    work = work_of(digits, None, 2)
    assert passes_of(digits, work).counted == 7
    graph = measuring.dataclasses.replace(
        digits, contender=Contender(subject=digits.contender.subject, device="cpu", runtime=RuntimeName.ONNXRUNTIME)
    )
    found = passes_of(graph, work)
    assert (found.counted, found.taken) == (None, 7)


@pytest.mark.parametrize(("most", "rows"), [(4, [0, 2, 5, 7]), (32, list(range(10)))])
def test_single_images_are_spread_over_those_that_were_timed(digits, monkeypatch, most, rows):
    monkeypatch.setattr(measuring, "LATENCY_IMAGES", most)
    work = Work(images=torch.arange(10.0).view(10, 1, 1, 1), images_per_step=5, run=lambda: None)
    assert measuring.single_images(digits, work, "a set").flatten().tolist() == rows


def test_single_images_of_noise_are_many_however_small_a_step_is(digits):
    assert len(measuring.single_images(digits, work_of(digits, None, 1), None)) == measuring.LATENCY_IMAGES
