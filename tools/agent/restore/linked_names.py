"""The names of one file in a restore: which of them is written, and which become further names of it.

Two are one file where their link sets and all that the entries say of the file are the same (docs/format.md, Link set).
Invariant: memory is bounded; a set that was forgotten is restored as files of their own.
"""

from collections import OrderedDict
from typing import NamedTuple

from blake3 import blake3

from tools.client.manifest import Entry, Extra, Kind
from tools.client.strict_msgpack import pack

_SETS_MAX = 65_536
_PATHS_BYTES_MAX = 32 * 1024 * 1024


class _Set(NamedTuple):
    """`first` is empty where all names so far stayed as what they are, which is not this file."""

    facts: bytes
    first: bytes
    names_left: int


class LinkedNames:
    def __init__(self) -> None:
        self._sets: OrderedDict[bytes, _Set] = OrderedDict()
        self._paths_bytes = 0

    def first_name(self, entry: Entry) -> bytes | None:
        """The path that was asked for before under which the same file is; None: this one is the first."""
        first = self._step(entry, entry.path)
        return first or None

    def keep_apart(self, entry: Entry) -> None:
        """It stays as what it is, which is not this file: what follows cannot be one with it."""
        self._step(entry, b"")

    def is_apart(self, entry: Entry) -> bool:
        """Whether only names were met that stayed as what they are. Ask before `first_name`."""
        held = self._sets.get((entry.extras or {}).get(Extra.LINK_SET, b""))
        return held is not None and not held.first and held.facts == _facts_of(entry)

    def _step(self, entry: Entry, path: bytes) -> bytes:
        """The first name of its set, that was known before; `path` becomes it where there was none."""
        extras = entry.extras or {}
        set_id = extras.get(Extra.LINK_SET)
        if set_id is None or entry.kind == Kind.DIRECTORY:
            return b""
        facts = _facts_of(entry)
        held = self._sets.get(set_id)
        if held is None or held.facts != facts:
            self._remember(set_id, _Set(facts, path, extras.get(Extra.NAMES, 0) - 1))
            return b""
        if held.names_left == 1:
            self._forget(set_id)
        elif held.first or not path:
            self._sets[set_id] = held._replace(names_left=held.names_left - 1)
        else:
            self._remember(set_id, _Set(facts, path, held.names_left - 1))
        return held.first

    def _remember(self, set_id: bytes, names: _Set) -> None:
        if set_id in self._sets:
            self._forget(set_id)
        self._sets[set_id] = names
        self._paths_bytes += len(names.first)
        while len(self._sets) > _SETS_MAX or self._paths_bytes > _PATHS_BYTES_MAX:
            self._forget(next(iter(self._sets)))

    def _forget(self, set_id: bytes) -> None:
        self._paths_bytes -= len(self._sets.pop(set_id).first)


def _facts_of(entry: Entry) -> bytes:
    e = entry
    extras = sorted((e.extras or {}).items())
    facts = [e.kind, e.mode, e.uid, e.gid, e.user, e.group, e.mtime_ns, e.size, e.hash, extras]
    return blake3(pack(facts)).digest()
