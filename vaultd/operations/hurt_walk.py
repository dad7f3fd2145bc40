"""Does a safeset use a record that is damaged or lost? From its companions and the index, without keys.

A walk ends at the first such record. What it does is cut into pieces of bounded work. Memory: what is known of
companions is forgotten where it grows; beside it a walk keeps 32 bytes and a set entry for each companion of the one
safeset.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from vaultd.errors import VaultError
from vaultd.operations.companion_format import Companion, parse_companion
from vaultd.operations.root_format import parse_root
from vaultd.operations.safesets import tree_of
from vaultd.operations.tree_walk import LOOKUP_IDS, locate_each
from vaultd.records import Safeset
from vaultd.store.chunk_store import ChunkStore
from vaultd.store.errors import RecordDamaged, StoreError
from vaultd.store.record_format import HEADER_BYTES

COMPANIONS_AT_ONCE = 16
_KNOWN_MAX = 65_536


@dataclass(slots=True)
class HurtWalk:
    """For the safesets of one job, one after another. Of the last one: `lost_id` is a record that it uses and nobody
    can be given, empty where none was met; `is_cut`: something is out of reach, so more may be lost.
    """

    store: ChunkStore
    lost_id: bytes = b""
    is_cut: bool = False
    _whole: set[bytes] = field(default_factory=set)  # companions, with everything below them
    _hurt: dict[bytes, bytes] = field(default_factory=dict)  # by companion, a lost record that it names

    def run(self, safeset: Safeset) -> Iterator[None]:
        """Yields after each piece of work."""
        tree = tree_of(parse_root(safeset.root))
        self.lost_id, self.is_cut = b"", False
        self._look_up(tree.keyring_id, [safeset.payload_id, tree.top_block])
        stack, seen = [tree.top_companion], {tree.top_companion}
        while stack and not self.lost_id:
            batch = [stack.pop() for _ in range(min(len(stack), COMPANIONS_AT_ONCE))]
            for companion in self._read_all(tree.keyring_id, [id_ for id_ in batch if id_ not in self._whole]):
                children = [child for child in dict.fromkeys(companion.children) if child not in seen]
                seen.update(children)
                stack.extend(children)
            yield
        if not (self.lost_id or self.is_cut):
            self._remember_whole(seen)

    def _read_all(self, keyring_id: bytes, ids: Sequence[bytes]) -> Iterator[Companion]:
        """Up to the first that is hurt; one that is out of reach is left out."""
        self.lost_id = next((self._hurt[id_] for id_ in ids if id_ in self._hurt), b"")
        if not self.lost_id:
            self._look_up(keyring_id, ids)
        for id_ in ids:
            if self.lost_id:
                return
            companion = self._read(keyring_id, id_)
            if companion is None:
                continue
            was_cut, self.is_cut = self.is_cut, False
            self._look_up(keyring_id, (*companion.ids, *companion.children))
            if self.lost_id:
                self._remember_hurt(id_)
            elif companion.level == 0 and not self.is_cut:
                self._remember_whole({id_})
            self.is_cut = self.is_cut or was_cut
            yield companion

    def _read(self, keyring_id: bytes, id_: bytes) -> Companion | None:
        """None where it cannot be read: then `lost_id` or `is_cut` says so."""
        (location,) = locate_each(self.store, keyring_id, [id_])
        if location is None:
            self.is_cut = True  # no row: `_look_up` told whether it is lost
            return None
        try:
            record = self.store.read(location, id_)
            return parse_companion(memoryview(record)[HEADER_BYTES:], f"companion {id_.hex()}")
        except (RecordDamaged, VaultError):
            self.lost_id = id_
            self._remember_hurt(id_)
        except (StoreError, OSError):
            self.is_cut = True
        return None

    def _look_up(self, keyring_id: bytes, ids: Sequence[bytes]) -> None:
        for at in range(0, len(ids), LOOKUP_IDS):
            part = ids[at : at + LOOKUP_IDS]
            for id_, is_lost in zip(part, self.store.looks.lost(keyring_id, part), strict=True):
                if is_lost is None:
                    self.is_cut = True
                elif is_lost:
                    self.lost_id = self.lost_id or id_

    def _remember_whole(self, companions: set[bytes]) -> None:
        if len(self._whole) + len(companions) > _KNOWN_MAX:
            self._whole.clear()
        if len(companions) <= _KNOWN_MAX:
            self._whole |= companions

    def _remember_hurt(self, companion: bytes) -> None:
        if len(self._hurt) >= _KNOWN_MAX:
            self._hurt.clear()
        self._hurt[companion] = self.lost_id
