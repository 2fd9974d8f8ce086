"""Images in doubt while lower paths are searched for them."""

import itertools
from collections import deque
from collections.abc import Collection, Hashable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from detector.escalation import Escalator, Searched
from detector.search import OpenSearch
from detector.search.found import FoundPaths
from detector.search.result import EndedPaths
from detector.types import Images, Labels, chosen_pixels

Ticket = Hashable
"""Names an image while it is in hand."""


class SecondLooks:
    """Searches the paths of images that come and go between two steps.

    An image has a place, and each of its paths a number that goes with the place; paths whose image has a place but
    that have no slot wait, and take the slots that other images' paths leave. A step that raises loses nothing: what
    it did not finish the next one does.

    Args:
        escalator: says what is searched, and what searched paths show; its search has the slots.
        n_places: images that may be under search or wait for it at once.
    """

    def __init__(self, escalator: Escalator, n_places: int) -> None:
        classifier, prototypes = escalator.profiler.classifier, escalator.prototypes
        settings, method = escalator.search, escalator.method
        self._escalator = escalator
        self._n_ends = prototypes.shape[1]
        n_paths = n_places * self._n_ends
        self._ends = prototypes.flatten(0, 1)
        self._images = torch.zeros(n_places, *classifier.input_shape, device=prototypes.device)
        # The potential reads the label of each path from here, and so must never be given another tensor.
        self._labels = torch.zeros(n_paths, dtype=torch.int64, device=prototypes.device)
        potential = escalator.potential(self._labels)
        self._search = OpenSearch(potential, method, settings, n_paths, classifier.input_shape)
        self._found = FoundPaths(n_paths, self._images, method.n_nodes, settings.final_resolution + 1)
        self._free = list(range(n_places))
        self._places: dict[Ticket, int] = {}
        self._n_left: dict[int, int] = {}
        self._waiting: deque[int] = deque()

    @property
    def n_free(self) -> int:
        """Images that may be admitted."""
        return len(self._free)

    @property
    def n_images(self) -> int:
        """Images under search, or waiting for it."""
        return len(self._places)

    def admit(self, tickets: Sequence[Ticket], images: Images, labels: Labels) -> None:
        """Give images a place; nothing is computed yet.

        Args:
            labels: those that the classifier gives to the images.

        Raises:
            ValueError: there are more images than free places.
        """
        if len(tickets) > self.n_free:
            raise ValueError(f"{len(tickets)} images came to {self.n_free} free places; admit fewer")
        for ticket, image, label in zip(tickets, images, labels, strict=True):
            place = self._places[ticket] = self._free.pop()
            numbers = self._numbers(place)
            self._images[place] = image
            self._labels[numbers.start : numbers.stop] = label
            self._n_left[place] = len(numbers)
            self._waiting.extend(numbers)

    def drop(self, tickets: Collection[Ticket]) -> None:
        """Let go of images; their paths are not part of the next step."""
        places = [self._places.pop(ticket) for ticket in tickets if ticket in self._places]
        numbers = [number for place in places for number in self._numbers(place)]
        self._search.drop(torch.tensor(numbers, dtype=torch.int64))
        gone = set(numbers)
        self._waiting = deque(number for number in self._waiting if number not in gone)
        self._free += places

    @torch.no_grad()
    def step(self) -> tuple[list[Ticket], Float[Tensor, "image feature"]]:
        """One step of every path that has a slot; the images whose paths have all ended, and what they show.

        They keep their place, and are named again, until they are dropped.
        """
        n_taken = min(self._search.n_free, len(self._waiting))
        if n_taken:
            self._write(self._search.begin(*self._next(n_taken)))
            for _ in range(n_taken):
                self._waiting.popleft()
        self._write(self._search.step())
        tickets = [ticket for ticket, place in self._places.items() if self._n_left[place] == 0]
        return tickets, self._features([self._places[ticket] for ticket in tickets])

    def _numbers(self, place: int) -> range:
        return range(place * self._n_ends, (place + 1) * self._n_ends)

    def _next(self, n_taken: int) -> tuple[Tensor, Tensor, Tensor]:
        """Numbers, starts and ends of the paths that have waited longest."""
        numbers = list(itertools.islice(self._waiting, n_taken))
        paths = torch.tensor(numbers, device=self._labels.device)
        ends = chosen_pixels(self._ends, self._labels[paths] * self._n_ends + paths % self._n_ends)
        return paths, self._images[paths // self._n_ends], ends

    def _write(self, ended: Sequence[EndedPaths]) -> None:
        self._found.write(ended)
        for number in itertools.chain.from_iterable(part.paths.tolist() for part in ended):
            self._n_left[number // self._n_ends] -= 1

    def _features(self, places: Sequence[int]) -> Float[Tensor, "image feature"]:
        if not places:
            return self._images.new_zeros(0, 0)
        numbers = torch.tensor([number for place in places for number in self._numbers(place)])
        searched = Searched.of(self._found.of(numbers), self._n_ends)
        return self._escalator.shown(self._images[list(places)], searched)
