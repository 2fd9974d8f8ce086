"""What Prometheus reads: names, labels and buckets in one place.

Label values are bounded: routes are templates, and a reason or a route beyond what any version of the service has is
counted as `other`.
"""

from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics

SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0)

IMAGES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)

P_VALUES = (0.005, 0.01, 0.02, *(step / 20 for step in range(1, 21)))
"""On clean traffic as many p-values lie below a border as it says."""

MOST_ROUTES, MOST_REASONS = 128, 32

OTHER = "other"


class BoundedLabels:
    """Passes values on until it has seen so many; further ones are `other`."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._seen: set[str] = set()

    def __call__(self, value: str) -> str:
        if value in self._seen:
            return value
        if len(self._seen) >= self._most:
            return OTHER
        self._seen.add(value)
        return value


class Metrics:
    """The counters and histograms of one server; gauges are read by the collectors of `gauges`.

    Args:
        registry: where they are registered; nothing is in the registry that all of a process share.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        # When a series began is a series more each, and nobody asks for it.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = registry
        self.route_label = BoundedLabels(MOST_ROUTES)
        self.reason_label = BoundedLabels(MOST_REASONS)
        self._count_requests()
        self._count_images()
        self._count_engine()

    def _count_requests(self) -> None:
        registry = self.registry
        self.requests = Counter("isthmus_requests", "Requests answered.", ("route", "code"), registry=registry)
        self.request_seconds = Histogram(
            "isthmus_request_seconds",
            "Time from a request for verdicts to the end of its answer, whatever the answer is.",
            buckets=SECONDS,
            registry=registry,
        )
        self.rejected = Counter("isthmus_rejected", "Requests refused, by reason.", ("reason",), registry=registry)
        self.events = Counter(
            "isthmus_events", "CloudEvents taken, by what became of them.", ("outcome",), registry=registry
        )

    def _count_images(self) -> None:
        registry = self.registry
        self.verdicts = Counter(
            "isthmus_verdicts",
            "Images judged, by decision and predicted class, whatever they came by.",
            ("decision", "label"),
            registry=registry,
        )
        # Few series that are there from the beginning: a class's own series begins with its first verdict.
        self.decisions = Counter("isthmus_decisions", "Images judged, by decision.", ("decision",), registry=registry)
        self.flags_expected = Counter(
            "isthmus_flags_expected",
            "Flags that clean images would have had: the shares of false alarms asked for, of the images decided.",
            registry=registry,
        )
        self.left_early = Counter(
            "isthmus_left_early",
            "Images that a first look found clear, so that no path was measured.",
            registry=registry,
        )
        self.p_value = Histogram(
            "isthmus_p_value",
            "p-values of live traffic; uniform where it is like the calibration images.",
            buckets=P_VALUES,
            registry=registry,
        )
        self.queue_seconds = Histogram(
            "isthmus_queue_seconds",
            "Time that requests waited for the device.",
            buckets=SECONDS,
            registry=registry,
        )
        self.compute_seconds = Histogram(
            "isthmus_compute_seconds",
            "Time from a request's first step on the device to its last.",
            buckets=SECONDS,
            registry=registry,
        )

    def _count_engine(self) -> None:
        registry = self.registry
        self.batch_images = Histogram(
            "isthmus_batch_images", "Images of one step on the device.", buckets=IMAGES, registry=registry
        )
        self.step_seconds = Histogram(
            "isthmus_step_seconds", "Time of one step on the device.", buckets=SECONDS, registry=registry
        )
        self.cancelled = Counter(
            "isthmus_cancelled",
            "Images whose client had gone before the verdict, by what they were in.",
            ("stage",),
            registry=registry,
        )
        self.expired = Counter(
            "isthmus_expired_images", "Images whose time was up before the verdict.", registry=registry
        )
        self.engine_failures = Counter(
            "isthmus_engine_failures", "Steps that failed, by reason.", ("reason",), registry=registry
        )
