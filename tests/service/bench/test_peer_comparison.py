import dataclasses

import pytest
import torch

from detector.types import no_progress
from service.bench import peer_comparison, running
from service.bench.contenders import Calibrated, Contender, open_contender
from service.bench.peer_comparison import MOST_TIMED, N_NOISE, compare_peers, compared, n_timed, noise_material
from service.bench.peers import Peer, Trial
from service.bench.request import BenchRequest
from service.bench.running import run_bench
from service.bench.timing import Lasting
from service.errors import InputError
from service.options import RuntimeName


@dataclasses.dataclass
class Brightness:
    """Takes bright images for adversarial ones, and so many seconds for each."""

    name: str
    clock: list
    seconds: float
    n_images: int | None = None
    source: str = "nowhere"
    forward_equivalents: float = 1.0
    calls: list = dataclasses.field(default_factory=list)

    def scores(self, images):
        self.calls.append(len(images))
        self.clock[0] += self.seconds * len(images)
        return images.flatten(1).mean(1)


@pytest.fixture
def clock(monkeypatch):
    """Runs only while peers do, but for a nanosecond between two looks."""
    now = [0.0]

    def look():
        now[0] += 1e-9
        return now[0]

    monkeypatch.setattr(peer_comparison.time, "perf_counter", look)
    monkeypatch.setattr(peer_comparison, "lasting", lambda act: Lasting(act=act, n_repeats=1))
    return now


IMAGES = torch.full((200, 1, 2, 2), 0.1)
TRIAL = Trial(clean=IMAGES[:20], attacked={"bright": torch.full((10, 1, 2, 2), 0.9)})


def test_fakes_are_peers(clock):
    assert isinstance(Brightness("a", clock, 1.0), Peer)


@pytest.mark.parametrize(
    ("seconds", "most", "n_images"), [(0.5, None, 4), (60.0, None, 1), (1e-4, None, MOST_TIMED), (0.1, 7, 7)]
)
def test_slow_peers_are_timed_on_fewer_images(clock, seconds, most, n_images):
    assert n_timed(Brightness("a", clock, seconds, most), IMAGES) == n_images


def test_the_ratio_is_that_of_an_image_to_one_of_ours(clock):
    ours, slow = Brightness("ours", clock, 0.01), Brightness("slow", clock, 5.0)
    found = compared([ours, slow], IMAGES, None, 3, no_progress)
    assert [peer.times_ours for peer in found] == [1, pytest.approx(500)]
    assert found[1].timing.milliseconds_per_image == pytest.approx(5000)
    assert found[1].timing.n_images == 1


def test_auroc_comes_with_a_trial_and_is_not_claimed_of_noise(clock):
    peers = [Brightness("ours", clock, 0.01)]
    [with_trial] = compared(peers, IMAGES, TRIAL, 1, no_progress)
    [without] = compared(peers, IMAGES, None, 1, no_progress)
    assert with_trial.auroc["mean"] == (1, 1, 1)
    assert without.auroc is None


@pytest.fixture(scope="module")
def digits():
    return open_contender(Contender(subject=Calibrated(bundle="digits"), device="cpu", runtime=RuntimeName.TORCH))


def test_noise_has_images_of_every_label_and_proxies(digits):
    material = noise_material(digits)
    assert set(material.fitting.labels.tolist()) == set(range(10))
    assert material.fitting.images.shape == (N_NOISE, 1, 8, 8)
    assert material.proxies.shape == (N_NOISE, 1, 8, 8)


def test_ours_stands_first_and_peers_behind(digits, clock, monkeypatch):
    monkeypatch.setattr(peer_comparison, "require_packages", lambda: None)
    monkeypatch.setattr(peer_comparison, "all_peers", lambda *_: [Brightness("theirs", clock, 1.0)])
    found = compare_peers(digits, None, 1, no_progress)
    assert [peer.name for peer in found] == ["Isthmus", "theirs"]


def test_peers_beside_made_up_bundles_alone_are_refused_before_anything_is_measured(monkeypatch):
    monkeypatch.setattr(running, "require_packages", lambda: None)
    monkeypatch.setattr(running, "measured", lambda _: pytest.fail("it was measured"))
    with pytest.raises(InputError, match="name one with --bundle"):
        run_bench(BenchRequest(devices=("cpu",), classifiers=("digits",), has_peers=True))
