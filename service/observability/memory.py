"""The last verdicts, so that feedback can say which one was wrong."""

import dataclasses
import threading
from collections import OrderedDict

from torch import Tensor

from detector.verdict import Verdict
from service.records import Record, verdict_record
from service.runtime import ServedBundle

IMAGES_BYTES = 128 * 2**20
"""All remembered images together; older ones are let go, their verdicts stay."""


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class RememberedVerdict:
    """What one image of a request was answered.

    Attributes:
        digest: of its pixels.
        key_id: who asked.
        image: its pixels, shape (channel, height, width); None where images are not kept.
    """

    verdict: Verdict
    bundle: ServedBundle
    digest: str
    key_id: str
    image: Tensor | None = None

    @property
    def record(self) -> Record:
        """The verdict in plain types; made when asked for, as hardly any is."""
        return verdict_record("", self.verdict, self.bundle.labels)


class VerdictMemory:
    """Remembers so many verdicts by request id, position of the image and key id. Thread-safe.

    Request ids may come from clients: where one comes twice from the same key, the later verdict is remembered; nobody
    sees or displaces what another key was answered, unless there are no keys.
    """

    def __init__(self, capacity: int, images_bytes: int = IMAGES_BYTES) -> None:
        self._capacity = capacity
        self._images_bytes = images_bytes
        self._verdicts: OrderedDict[tuple[str, str, int], RememberedVerdict] = OrderedDict()
        self._images: OrderedDict[tuple[str, str, int], int] = OrderedDict()
        self._n_bytes = 0
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._verdicts)

    @property
    def images_bytes(self) -> int:
        """Bytes of the images that are held."""
        return self._n_bytes

    def remember(self, request_id: str, index: int, remembered: RememberedVerdict) -> None:
        """Keep it until enough others have come."""
        key = (remembered.key_id, request_id, index)
        with self._lock:
            self._forget_image(key)
            self._verdicts[key] = remembered
            self._verdicts.move_to_end(key)
            if remembered.image is not None:
                self._images[key] = remembered.image.nbytes
                self._n_bytes += remembered.image.nbytes
            while len(self._verdicts) > self._capacity:
                oldest, _ = self._verdicts.popitem(last=False)
                self._forget_image(oldest)
            while self._n_bytes > self._images_bytes:
                self._drop_oldest_image()

    def recall(self, request_id: str, index: int, key_id: str) -> RememberedVerdict | None:
        """What the image at `index` of that request of that key was answered; None where it is not remembered."""
        with self._lock:
            return self._verdicts.get((key_id, request_id, index))

    def _drop_oldest_image(self) -> None:
        key = next(iter(self._images))
        self._verdicts[key] = dataclasses.replace(self._verdicts[key], image=None)
        self._forget_image(key)

    def _forget_image(self, key: tuple[str, str, int]) -> None:
        self._n_bytes -= self._images.pop(key, 0)
