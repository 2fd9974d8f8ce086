"""A classifier whose calls are replayed as CUDA graphs: one launch in place of hundreds.

Small networks leave a GPU waiting for the CPU that launches their kernels; a graph is launched at once. It is bound to
the shape and the memory it was captured with, so that each number of points has its own, with its own buffers.
"""

import logging
import threading
from collections import Counter
from collections.abc import Callable

import torch
from torch import Tensor

from detector.pooled_outputs import PooledOutputs
from detector.types import Classifier, Images

Function = Callable[[Tensor], tuple[Tensor, ...]]
"""From points to tensors with one row a point."""

Capture = Callable[[Function, Tensor], Function]
"""Makes of a function and points of one shape a function that does the same for any points of that shape."""

N_GRAPHS = 8
"""Numbers of points that may have a graph each; the steps of one detector have a handful."""

_WARM_UPS = 3

logger = logging.getLogger(__name__)


def captured_on_cuda(function: Function, example: Tensor) -> Function:
    """The function as a CUDA graph with static buffers; what it gives is copied out of them.

    Raises:
        RuntimeError: the function does what a graph cannot hold, e.g. waits for the GPU.
    """
    given, device = example.clone(), example.device
    beside = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
    beside.wait_stream(torch.cuda.current_stream(device))
    # Libraries choose their algorithms in the first calls, which a graph cannot hold.
    with torch.cuda.stream(beside):
        for _ in range(_WARM_UPS):
            function(given)
    torch.cuda.current_stream(device).wait_stream(beside)
    graph = torch.cuda.CUDAGraph()
    # On a stream of this very GPU: torch's own for captures is that of the GPU which came first, and a graph that is
    # captured there would be empty. Other threads may meanwhile do what a capture cannot hold.
    with torch.cuda.device(device), torch.cuda.graph(graph, stream=beside, capture_error_mode="thread_local"):
        found = function(given)

    def replayed(points: Tensor) -> tuple[Tensor, ...]:
        given.copy_(points)
        graph.replay()
        return tuple(tensor.clone() for tensor in found)

    return replayed


class GraphedClassifier:
    """The same classifier, replayed where a number of points comes again and no gradient is asked for.

    A number of points that comes for the first time is computed as ever, so that a last part of its own size costs no
    capture. Should a capture fail, this classifier goes on without graphs. May be shared between threads of one CUDA
    stream, as threads are unless they choose another.

    Args:
        classifier: on a CUDA device; must not decide anything in Python by what a tensor holds.
        capture: what makes graphs.
    """

    def __init__(self, classifier: Classifier, capture: Capture = captured_on_cuda) -> None:
        self.classifier = classifier
        self.labels = classifier.labels
        self.input_shape = classifier.input_shape
        self.device = classifier.device
        self._capture = capture
        self._names: tuple[str, ...] = ()
        self._came: Counter[int] = Counter()
        self._graphs: dict[int, Function] = {}
        self._may_capture = True
        # A graph has one set of buffers.
        self._lock = threading.Lock()

    def digest(self) -> str:
        """Of the classifier itself."""
        return self.classifier.digest()

    def __call__(self, points: Images) -> PooledOutputs:
        """What the classifier gives, its representations pooled."""
        if (torch.is_grad_enabled() and points.requires_grad) or torch.compiler.is_compiling() or not len(points):
            return PooledOutputs.of(self.classifier(points))
        with self._lock, torch.no_grad():
            logits, *blocks = self._graph_of(points)(points)
        return PooledOutputs(logits, dict(zip(self._names, blocks, strict=True)))

    def _graph_of(self, points: Tensor) -> Function:
        size = len(points)
        self._came[size] += 1
        wants_one = self._came[size] > 1 and size not in self._graphs and len(self._graphs) < N_GRAPHS
        if wants_one and self._may_capture:
            try:
                self._graphs[size] = self._capture(self._eager, points)
            except RuntimeError as error:
                self._may_capture = False
                logger.warning("no CUDA graph could be captured, the classifier runs without: %s", error)
        return self._graphs.get(size, self._eager)

    def _eager(self, points: Tensor) -> tuple[Tensor, ...]:
        outputs = PooledOutputs.of(self.classifier(points))
        self._names = tuple(outputs.representations)
        return (outputs.logits, *outputs.representations.values())
