"""Walking a safeset's tree from its top companion down, without keys: is every id, block and companion here?

Invariants: a companion is read once, whatever refers to it; levels fall by one with each step, so the walk ends;
look-ups go in batches. Memory grows with the companions that are new, 32 bytes and a set entry each, and not with the
chunks.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from vaultd.errors import BadRequest
from vaultd.operations.companion_format import Companion, parse_companion
from vaultd.store.errors import RecordDamaged
from vaultd.store.index_rows import Location
from vaultd.store.record_format import HEADER_BYTES, parse_record

LOOKUP_IDS = 16_384
COMPANIONS_AT_ONCE = 64


class Records(Protocol):
    """Where records of a keyring are looked up: the open store, or the offline check's. `lacks_rows`: one without a
    row may lie on a disk that is away.
    """

    @property
    def lacks_rows(self) -> bool: ...

    def missing(self, keyring_id: bytes, ids: Sequence[bytes]) -> list[bool]: ...

    def locate(self, keyring_id: bytes, ids: Sequence[bytes]) -> list[Location | None]: ...

    def read(self, location: Location, expected_id: bytes) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Tree:
    """`level` is that of the top block and its companion."""

    keyring_id: bytes
    top_block: bytes
    top_companion: bytes
    level: int


@dataclass(slots=True)
class Gap:
    """What is missing of a tree, or damaged: how much, and the first id met."""

    missing: int = 0
    first: bytes = b""

    def add(self, ids: Sequence[bytes]) -> None:
        if ids and not self.first:
            self.first = ids[0]
        self.missing += len(ids)


@dataclass(slots=True)
class TreeWalk:
    """One walk. Companions in `held` are known to be whole with all that is below them."""

    records: Records
    tree: Tree
    held: set[bytes] = field(default_factory=set)
    gap: Gap = field(default_factory=Gap)
    seen: set[bytes] = field(default_factory=set)
    _waiting: list[bytes] = field(default_factory=list)

    def run(self) -> Gap:
        self._look_up([self.tree.top_block])
        for companion in self._companions():
            self._waiting.extend(companion.ids)
            if len(self._waiting) >= LOOKUP_IDS:
                self._flush()
        self._flush()
        return self.gap

    def _companions(self) -> Iterator[Companion]:
        """Every companion that is not held, each once, parents before children."""
        self.seen.add(self.tree.top_companion)
        stack = [(self.tree.level, self.tree.top_companion)]
        while stack:
            batch = [stack.pop() for _ in range(min(len(stack), COMPANIONS_AT_ONCE))]
            for companion in self._read([one for one in batch if one[1] not in self.held]):
                yield companion
                children = [child for child in dict.fromkeys(companion.children) if child not in self.seen]
                self.seen.update(children)
                stack.extend((companion.level - 1, child) for child in children)

    def _read(self, wanted: list[tuple[int, bytes]]) -> Iterator[Companion]:
        locations = locate_each(self.records, self.tree.keyring_id, [id_ for _, id_ in wanted])
        for (level, id_), location in zip(wanted, locations, strict=True):
            record = _read_whole(self.records, location, id_)
            if record is None:
                self.gap.add([id_])
            else:
                yield _parse(record, id_, level)

    def _flush(self) -> None:
        self._look_up(self._waiting)
        self._waiting = []

    def _look_up(self, ids: list[bytes]) -> None:
        missing = self.records.missing(self.tree.keyring_id, ids)
        self.gap.add([id_ for id_, is_missing in zip(ids, missing, strict=True) if is_missing])


def companions_of(records: Records, tree: Tree) -> set[bytes]:
    """The companions of a tree that is known to be whole. Only those above level 0 are read: they name all others."""
    found = {tree.top_companion}
    stack = [(tree.level, tree.top_companion)] if tree.level else []
    while stack:
        level, id_ = stack.pop()
        (location,) = locate_each(records, tree.keyring_id, [id_])
        record = _read_whole(records, location, id_)
        if record is None:
            return set()
        children = dict.fromkeys(_parse(record, id_, level).children)
        if level > 1:
            stack.extend((level - 1, child) for child in children if child not in found)
        found.update(children)
    return found


def locate_each(records: Records, keyring_id: bytes, ids: Sequence[bytes]) -> list[Location | None]:
    """A record whose row of the index is damaged is missing: then a run sends it again."""
    try:
        return records.locate(keyring_id, ids)
    except RecordDamaged:
        if len(ids) == 1:
            return [None]
        return [location for id_ in ids for location in locate_each(records, keyring_id, [id_])]


def _read_whole(records: Records, location: Location | None, id_: bytes) -> bytes | None:
    """None where the record is missing, or damaged: then a run sends it again."""
    if location is None or location.is_damaged:
        return None
    try:
        return records.read(location, id_)
    except RecordDamaged:
        return None


def _parse(record: bytes, id_: bytes, level: int) -> Companion:
    header = parse_record(record)
    if header.sealed:
        raise BadRequest(f"companion {id_.hex()} is not a companion record")
    companion = parse_companion(memoryview(record)[HEADER_BYTES:], f"companion {id_.hex()}")
    if companion.level != level:
        raise BadRequest(f"companion {id_.hex()} has level {companion.level}, its parent says {level}")
    return companion
