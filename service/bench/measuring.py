"""Everything that is measured of the contenders of one run, in turns where ratios are taken."""

import dataclasses
import statistics
from collections.abc import Sequence

import torch

from detector.types import Images, ProgressCallback
from service.bench.contenders import Contender, Opened
from service.bench.counting import counted_forward_equivalents
from service.bench.forward_rate import Forward, ForwardRate, forwards_of, roofline_shares
from service.bench.latency import Latency, latency_of
from service.bench.memory import Peak, peak_of
from service.bench.request import BenchRequest
from service.bench.steps import Work, images_for, works_of
from service.bench.timing import Lasting, Timing, alternate, lasting, median_ratio, spread_of
from service.imagesets.selection import evenly_spread
from service.options import RuntimeName

LATENCY_IMAGES = 32
N_WAYS = 2
"""Of running a bare classifier that stay in the race to its end: the fastest of a short trial of all."""
TRIAL_ROUNDS, SHORT_SECONDS = 3, 0.05


@dataclasses.dataclass(frozen=True, kw_only=True)
class Passes:
    """Forward passes an image, the auxiliary's included.

    Attributes:
        most: of an image that is measured in full and is not in doubt.
        expected: on average over clean images, as calibration measured it.
        counted: on average over the images that were timed; None where passes cannot be seen, or are not all there is.
        taken: what the roofline is computed with: counted where they were. A graph measures every image in full, and a
            second opinion comes on top.
    """

    most: float
    expected: float
    counted: float | None

    @property
    def taken(self) -> float:
        return max(self.most, self.expected) if self.counted is None else self.counted


@dataclasses.dataclass(frozen=True, kw_only=True)
class Result:
    """What was measured of one contender.

    Attributes:
        relative: how many times as many images a second as the first contender, the median within a round.
        roofline: in each round, detector images/s ÷ (bare forward rate ÷ forward passes taken).
        peak: None where memory was left out.
    """

    contender: Contender
    images_per_step: int
    timing: Timing
    relative: float
    passes: Passes
    forward: ForwardRate
    roofline: tuple[float, ...]
    latency: Latency
    peak: Peak | None

    @property
    def roofline_share(self) -> float:
        """The median over the rounds."""
        return statistics.median(self.roofline)


def measure_contenders(
    opened: Sequence[Opened], request: BenchRequest, threads: int, progress: ProgressCallback
) -> list[Result]:
    """Time all contenders, each beside its bare classifier, in rounds; then each one's single images and memory.

    Raises:
        InputError, DetectorError, ModelError: an image set cannot be read, or a runtime does not do it.
    """
    roofs = best_ways(opened, progress)
    acts: dict[str, Lasting] = {}
    works = works_of(opened, request.images, request.batch)
    for one in opened:
        name = one.contender.name
        acts[name] = lasting(works[name].run)
        # Right beside it, for whatever slows the machine down to hit both.
        acts |= {_bare(name, number): lasting(way.run) for number, way in enumerate(roofs[one.digest])}
    seconds = alternate(acts, request.rounds, progress)
    each = {name: per_image(seconds[name], len(work.images) * acts[name].n_repeats) for name, work in works.items()}
    first = each[opened[0].contender.name]
    results = []
    for number, one in enumerate(opened):
        progress("single images and memory", number, len(opened))
        name = one.contender.name
        rates = [
            _rate(way, seconds[_bare(name, index)], acts[_bare(name, index)].n_repeats)
            for index, way in enumerate(roofs[one.digest])
        ]
        forward, found = fastest(rates), passes_of(one, works[name])
        results.append(
            Result(
                contender=one.contender,
                images_per_step=works[name].images_per_step,
                timing=Timing(seconds=seconds[name], n_images=len(works[name].images) * acts[name].n_repeats),
                relative=median_ratio(first, each[name]),
                passes=found,
                forward=forward,
                roofline=roofline_shares(each[name], forward.seconds, found.taken),
                latency=latency_of(one.detector, single_images(one, works[name], request.images)),
                peak=_peak(one, request, threads),
            )
        )
    progress("single images and memory", len(opened), len(opened))
    return results


def best_ways(opened: Sequence[Opened], progress: ProgressCallback) -> dict[str, list[Forward]]:
    """The fastest ways of running each bare classifier, found once for all contenders that share it."""
    found = {}
    for digest, one in {one.digest: one for one in opened}.items():
        ways = forwards_of(one, progress)
        acts = {f"a pass of {way.n_images}, {way.layout}": lasting(way.run, SHORT_SECONDS) for way in ways}
        seconds = alternate(acts, TRIAL_ROUNDS, progress)
        rates = {name: _rate(way, seconds[name], acts[name].n_repeats) for name, way in zip(acts, ways, strict=True)}
        order = sorted(zip(rates.values(), ways, strict=True), key=lambda pair: -pair[0].images_per_second)
        found[digest] = [way for _, way in order[:N_WAYS]]
    return found


def per_image(seconds: Sequence[float], n_images: int) -> tuple[float, ...]:
    """Seconds an image in each round."""
    return tuple(taken / n_images for taken in seconds)


def fastest(rates: Sequence[ForwardRate]) -> ForwardRate:
    """The one whose median is the fastest."""
    return max(rates, key=lambda rate: rate.images_per_second)


def _rate(way: Forward, seconds: Sequence[float], n_repeats: int) -> ForwardRate:
    each = per_image(seconds, way.n_images * n_repeats)
    return ForwardRate(n_images=way.n_images, layout=way.layout, seconds=each, spread=spread_of(each))


def _bare(name: str, number: int) -> str:
    return f"{name}: bare classifier {number}"


def single_images(opened: Opened, work: Work, source: str | None) -> Images:
    """Those whose latency is taken; of noise a step may hold a single one, which leaves early or does not."""
    if source is None:
        return images_for(opened, None, LATENCY_IMAGES)
    return work.images[torch.from_numpy(evenly_spread(len(work.images), LATENCY_IMAGES))]


def passes_of(opened: Opened, work: Work) -> Passes:
    """What the bundle says, and what PyTorch was seen to do; a graph always measures every image in full."""
    bundle = opened.detector.bundle
    # Searches take gradients, which a count of passes does not see.
    is_countable = opened.contender.runtime is not RuntimeName.ONNXRUNTIME and bundle.second_opinion is None
    return Passes(
        most=float(bundle.forward_equivalents),
        expected=float(bundle.expected_forward_equivalents),
        counted=counted_forward_equivalents(opened.in_torch, work.images) if is_countable else None,
    )


def _peak(opened: Opened, request: BenchRequest, threads: int) -> Peak | None:
    if not request.has_memory:
        return None
    return peak_of(opened.contender, threads=threads, source=request.images, batch=request.batch)
