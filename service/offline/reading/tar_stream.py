"""The members of an archive that can only be read from front to back."""

from collections.abc import Callable, Iterator

from service.errors import InputError
from service.offline.items import Item
from service.offline.reading.places import Place
from service.offline.sources.tar_headers import DamagedError, TarMember, TarWalk


class TarStream:
    """An open archive; members are asked for in rising order.

    Args:
        place: closed with this.
        check: called often where much is passed over; what it raises ends the reading.
    """

    def __init__(self, place: Place, check: Callable[[], None]) -> None:
        self.place = place
        self._stream = place.stream()
        self._walk = TarWalk(self._stream, check, is_seekable=False)
        self._members: Iterator[TarMember] = iter(self._walk)
        self._damage: str | None = None
        self.position = 0
        """The first member that can still be had without going back."""

    def read(self, item: Item) -> bytes:
        """The bytes of an image, whose member is not before `position`.

        Raises:
            InputError: the archive is damaged before its end, or is another one.
            OSError: the disk or the network failed.
        """
        if self._damage is not None:
            raise InputError(self._damage)
        try:
            member = next((member for member in self._members if member.number == item.position), None)
            if member is None or member.size != item.size or not member.is_file:
                raise DamagedError("it holds other members than when it was listed")
            data = self._walk.read(member.size)
            if len(data) < member.size:
                raise DamagedError("it ends in the middle of the image")
        except DamagedError as error:
            self._damage = f"the archive is damaged or cut off ({error})"
            raise InputError(self._damage) from error
        self.position = item.position + 1
        return data

    def close(self) -> None:
        """Let go of the archive."""
        self._members = iter(())
        self._stream.close()
        self.place.close()
