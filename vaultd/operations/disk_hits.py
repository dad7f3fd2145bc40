"""What of a safeset lies on disks that are away or lost, from its companions and the index, without keys.

A record that has no row in the index counts for every such disk with a container that could not be read into it.
Memory is bounded: look-ups go in batches, and what is remembered is forgotten where it grows. So a record that a
safeset uses more than once counts once, but where more than HIT_IDS_MAX are hit.
"""

from array import array
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from vaultd.errors import VaultError
from vaultd.operations.companion_format import Companion, parse_companion
from vaultd.operations.root_format import parse_root
from vaultd.operations.safesets import tree_of
from vaultd.operations.tree_walk import COMPANIONS_AT_ONCE, LOOKUP_IDS, Records, locate_each
from vaultd.records import Safeset
from vaultd.store.errors import StoreError
from vaultd.store.index_rows import ContainerRow, Location
from vaultd.store.record_format import HEADER_BYTES

HIT_IDS_MAX = 65_536
_KNOWN_MAX = 65_536
_KNOWN_IDS_MAX = 1_000_000  # 8 bytes each

Found = dict[tuple[bytes, ...], "array[int]"]  # by the disks that are hit: the begins of the records' ids


@dataclass(frozen=True, slots=True)
class Hit:
    """`at_least`: a companion is hit too, so more records may be."""

    records: int
    at_least: bool


class Places(Protocol):
    """What is asked about: keys of what hits a record that the index has at `location`, or has no row of."""

    def of(self, location: Location | None, id_: bytes) -> Collection[bytes]: ...


class DiskPlaces:
    """On which of the disks that are asked about a record lies."""

    def __init__(self, containers: Collection[ContainerRow], disk_ids: Collection[bytes]) -> None:
        held = [row for row in containers if row.disk_id in disk_ids]
        self._disks = {row.number: row.disk_id for row in held}
        self._unread = {row.disk_id for row in held if row.indexed_length < row.acknowledged_length}

    @property
    def is_empty(self) -> bool:
        return not self._disks

    def of(self, location: Location | None, id_: bytes) -> Collection[bytes]:
        if location is None:
            return self._unread
        disk_id = self._disks.get(location.container)
        return () if disk_id is None else (disk_id,)


@dataclass(slots=True)
class HitWalk:
    """Counts for the safesets of one job, one after another; a companion without others below it is read once."""

    records: Records
    places: Places
    _known: dict[bytes, list[Found]] = field(default_factory=dict)
    _known_ids: int = 0
    _counted: set[int] = field(default_factory=set)
    _hits: dict[bytes, int] = field(default_factory=dict)
    is_cut: bool = False  # of the last run: a companion is out of reach, so more may be hit

    def run(self, safeset: Safeset) -> dict[bytes, Hit]:
        """By disk id, those that are hit alone."""
        tree = tree_of(parse_root(safeset.root))
        self._counted, self._hits, self.is_cut = set(), {}, False
        self._count(tree.keyring_id, [safeset.payload_id, tree.top_block, tree.top_companion])
        for id_, companion in self._companions(tree.keyring_id, tree.level, tree.top_companion):
            found = [self._count(tree.keyring_id, part) for part in _parts((*companion.ids, *companion.children))]
            if companion.level == 0:
                self._remember(id_, found)
        return {disk_id: Hit(records, self.is_cut) for disk_id, records in self._hits.items()}

    def _companions(self, keyring_id: bytes, level: int, top: bytes) -> Iterator[tuple[bytes, Companion]]:
        """Each once, but for those that are known: what they hit is counted in here."""
        seen = {top}
        stack = [(level, top)]
        while stack:
            batch = [stack.pop() for _ in range(min(len(stack), COMPANIONS_AT_ONCE))]
            for found in (found for _, id_ in batch for found in self._known.get(id_, ())):
                self._add(found)
            wanted = [id_ for _, id_ in batch if id_ not in self._known]
            for id_, location in zip(wanted, locate_each(self.records, keyring_id, wanted), strict=True):
                companion = self._read(location, id_)
                if companion is None:
                    continue
                yield id_, companion
                children = [child for child in dict.fromkeys(companion.children) if child not in seen]
                seen.update(children)
                stack.extend((companion.level - 1, child) for child in children)

    def _read(self, location: Location | None, id_: bytes) -> Companion | None:
        """None where it is out of reach or damaged: what it names is then not known."""
        try:
            if location is not None and not self.places.of(location, id_):
                record = self.records.read(location, id_)
                return parse_companion(memoryview(record)[HEADER_BYTES:], f"companion {id_.hex()}")
        except (StoreError, VaultError, OSError):
            pass
        self.is_cut = True
        return None

    def _count(self, keyring_id: bytes, ids: Sequence[bytes]) -> Found:
        """What of them is hit."""
        found: Found = {}
        for id_, location in zip(ids, locate_each(self.records, keyring_id, ids), strict=True):
            if disk_ids := tuple(self.places.of(location, id_)):
                found.setdefault(disk_ids, array("Q")).append(int.from_bytes(id_[:8], "big"))
        self._add(found)
        return found

    def _add(self, found: Found) -> None:
        for disk_ids, ids in found.items():
            new = set(ids) - self._counted
            self._counted |= new
            for disk_id in disk_ids:
                self._hits[disk_id] = self._hits.get(disk_id, 0) + len(new)
        if len(self._counted) > HIT_IDS_MAX:
            self._counted.clear()

    def _remember(self, id_: bytes, found: list[Found]) -> None:
        if len(self._known) >= _KNOWN_MAX or self._known_ids >= _KNOWN_IDS_MAX:
            self._known.clear()
            self._known_ids = 0
        self._known[id_] = [one for one in found if one]
        self._known_ids += sum(len(ids) for one in found for ids in one.values())


def _parts(ids: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
    for at in range(0, len(ids), LOOKUP_IDS):
        yield ids[at : at + LOOKUP_IDS]
