"""Entries that continue, made whole: what comes out first has all extras, later ones only more extents.

Extras go on before extents do, so at most one path's extras are held, and never its extents.
"""

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import replace
from typing import Any

from tools.client.manifest import EXTRAS_BYTES_MAX, Entry, Extra, Windows
from tools.client.record_format import IntegrityError
from tools.client.strict_msgpack import pack


class EntryJoiner:
    """Takes entries as they are stored, in order. An entry without extents is held until it is known to be whole."""

    def __init__(self) -> None:
        self._before: Entry | None = None
        self._held: Entry | None = None
        self._extras_bytes = 0

    def add(self, stored: Entry) -> Iterator[Entry]:
        before, self._before = self._before, stored
        if before is None or before.path != stored.path:
            yield from self.finish()
            self._held, self._extras_bytes = stored, 0
        else:
            _check_continuation(before, stored)
            if self._held is None:
                if stored.extras or stored.has_unknown:
                    raise IntegrityError(f"an entry of {stored.path!r} has extras after the extents began")
                yield replace(stored, is_continuation=True)
                return
            self._held = self._joined(self._held, stored)
        if stored.extents:
            yield from self.finish()

    def finish(self) -> Iterator[Entry]:
        """The entry that is held, after the last one."""
        held, self._held = self._held, None
        if held is not None:
            yield held

    def _joined(self, held: Entry, stored: Entry) -> Entry:
        extras = held.extras or {}
        if not self._extras_bytes:
            extras = deepcopy(extras)
            self._extras_bytes = len(pack(extras))
        self._extras_bytes += len(pack(stored.extras))
        if self._extras_bytes > EXTRAS_BYTES_MAX:
            raise IntegrityError(f"the extras of {stored.path!r} have more than {EXTRAS_BYTES_MAX} bytes")
        for number, value in (stored.extras or {}).items():
            _append(extras, number, value, stored.path)
        has_unknown = held.has_unknown or stored.has_unknown
        return replace(held, extents=stored.extents, extras=extras or None, has_unknown=has_unknown)


def _check_continuation(before: Entry, stored: Entry) -> None:
    if _repeated(before) != _repeated(stored):
        raise IntegrityError(f"two different entries have the path {stored.path!r}")
    if not (stored.extents or stored.extras or stored.has_unknown):
        raise IntegrityError(f"an entry that goes on with {stored.path!r} adds nothing")


def _repeated(entry: Entry) -> tuple[object, ...]:
    e = entry
    return e.path, e.kind, e.mode, e.uid, e.gid, e.user, e.group, e.mtime_ns, e.size, e.hash


def _append(extras: dict[int, Any], number: int, more: Any, path: bytes) -> None:
    """Adds to an extra of the entries so far what the next one has of it, in place."""
    match number:
        case Extra.HOLES:
            holes = extras.setdefault(number, [])
            if holes and more and holes[-2] + holes[-1] > more[0]:
                raise IntegrityError(f"the holes of {path!r} are out of order")
            holes += more
        case Extra.ATTRIBUTES:
            _unite(extras.setdefault(number, {}), more, path)
        case Extra.WINDOWS if more.keys() <= {Windows.ALTERNATE_STREAMS}:  # none: it has numbers of a later version
            streams = extras.setdefault(number, {}).setdefault(Windows.ALTERNATE_STREAMS, {})
            _unite(streams, more.get(Windows.ALTERNATE_STREAMS, {}), path)
        case _:
            raise IntegrityError(f"extra {number} of {path!r} stands in an entry that continues another")


def _unite(whole: dict[Any, Any], more: dict[Any, Any], path: bytes) -> None:
    for name, value in more.items():
        if name in whole:
            raise IntegrityError(f"{name!r} is twice in the extras of {path!r}")
        whole[name] = value
