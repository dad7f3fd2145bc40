"""Turns entries into windows: what to fetch together, each chunk once for as long as neighbours need it."""

from collections import OrderedDict
from collections.abc import Iterator

from tools.agent.safeset.window import Above, Begin, End, Left, Name, Part, Slot, Window
from tools.agent.system.attributes import attribute_bytes
from tools.client.manifest import Entry, Extent, Kind, own_content_bytes

WINDOW_BYTES = 8 * 1024 * 1024
_WINDOW_STEPS = 8192
# A chunk is counted as at least this: how long it is becomes known only when it is there.
_CHUNK_BYTES_GUESS = 1024 * 1024
_KEPT_BYTES = 24 * 1024 * 1024


class Planner:
    """Entries come in order; a window that became full is answered."""

    def __init__(self) -> None:
        self._window = Window()
        self._is_open = False
        self._own_bytes_left: int | None = None
        self._kept: OrderedDict[bytes, Slot] = OrderedDict()
        self._kept_bytes = 0

    def add_above(self, entry: Entry) -> Iterator[Window]:
        """Comes before the first entry below it."""
        self._end_file()
        self._window.steps.append(Above(entry))
        if self._is_full():
            yield self._taken()

    def add_left(self, entry: Entry, first: bytes | None) -> None:
        """Of a file with more names, of which `first` came before; it is not asked for."""
        self._end_file()
        self._window.steps.append(Left(entry, first))

    def add_name(self, entry: Entry, first: bytes) -> Iterator[Window]:
        """One more name of the file whose path `first` came before."""
        self._end_file()
        self._window.steps.append(Name(entry, first))
        if self._is_full():
            yield self._taken()

    def add(self, entry: Entry) -> Iterator[Window]:
        if not entry.is_continuation:
            self._end_file()
            self._window.steps.append(Begin(entry))
            self._window.fetched_bytes += attribute_bytes(entry.extras)
            self._is_open = entry.kind == Kind.FILE
            self._own_bytes_left = own_content_bytes(entry)
        for id, offset, length in self._own_extents(entry):
            self._window.steps.append(Part(self._slot(id, offset + length), offset, length))
            if self._is_full():
                yield self._taken()
        if self._is_full():
            yield self._taken()

    def finish(self) -> Window:
        self._end_file()
        return self._taken()

    def _own_extents(self, entry: Entry) -> Iterator[Extent]:
        """Without large attributes and alternate streams, which follow the entry's own content."""
        for id, offset, length in entry.extents:
            if self._own_bytes_left is not None:
                length = min(length, self._own_bytes_left)
                self._own_bytes_left -= length
            if length:
                yield id, offset, length

    def _end_file(self) -> None:
        if self._is_open:
            self._window.steps.append(End())
            self._is_open = False

    def _is_full(self) -> bool:
        return self._window.fetched_bytes >= WINDOW_BYTES or len(self._window.steps) >= _WINDOW_STEPS

    def _taken(self) -> Window:
        window, self._window = self._window, Window()
        return window

    def _slot(self, id: bytes, end: int) -> Slot:
        slot = self._kept.get(id)
        if slot is None:
            slot = Slot(max(end, _CHUNK_BYTES_GUESS))
            self._window.fetched[id] = slot
            self._window.fetched_bytes += slot.size_bytes
            self._kept[id] = slot
            self._kept_bytes += slot.size_bytes
            while self._kept_bytes > _KEPT_BYTES and len(self._kept) > 1:
                _, oldest = self._kept.popitem(last=False)
                self._kept_bytes -= oldest.size_bytes
        else:
            self._kept.move_to_end(id)
        return slot
