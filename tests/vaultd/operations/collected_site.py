"""A job whose safesets use chunks that the test chooses, and a collection step by step."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from blake3 import blake3

from tests.vaultd.operations.kept_job import DAY_SECONDS, keep_house
from tests.vaultd.operations.sealing import DATA, id_of
from tests.vaultd.operations.small_site import BackedUp, Site
from vaultd.operations import held_safesets, ledger, offer
from vaultd.operations.collection import KeyringCollection
from vaultd.operations.container_use import ContainerUse
from vaultd.operations.held_safesets import Named
from vaultd.records import Identity
from vaultd.store.errors import StoreError

Step = Callable[[], None]


def nothing() -> None:
    pass


@dataclass
class Dropped:
    records: int = 0
    keys: int = 0
    held_by: str = ""


@dataclass
class Collected:
    """`used`: by number of the safeset, the ids of all that it needs. `stored`: by id, the record that is to be there,
    or was. `earlier`: by id, records that it took the place of: sealed anew, while they may still lie somewhere.
    """

    site: Site
    owner: Identity
    job: BackedUp
    name: str = "laptop"
    roots: list[bytes] = field(default_factory=list)
    used: dict[int, set[bytes]] = field(default_factory=dict)
    stored: dict[bytes, bytes] = field(default_factory=dict)
    earlier: dict[bytes, list[bytes]] = field(default_factory=dict)
    _texts: dict[bytes, bytes] = field(default_factory=dict)

    @property
    def head(self) -> bytes:
        return blake3(self.roots[-1]).digest() if self.roots else bytes(32)

    @property
    def keyring_id(self) -> bytes:
        return self.job.sealer.keyring_id

    def chunk(self, text: bytes = b"") -> bytes:
        """The id of a new one; whoever sends it seals it under his key."""
        text = text or os.urandom(50)
        id_ = id_of(self.job.sealer.record(DATA, text))
        self._texts[id_] = text
        return id_

    def send(self, *ids: bytes) -> None:
        self.send_records(*(self.job.sealer.record(DATA, self._texts[id_]) for id_ in ids))

    def send_records(self, *records: bytes) -> None:
        for record in records:
            if self.site.vault.store.missing(self.keyring_id, [id_of(record)]) == [True]:
                self._note(record)
        self.site.upload(self.job, *records)

    def _note(self, record: bytes) -> None:
        id_ = id_of(record)
        if id_ in self.stored:
            self.earlier.setdefault(id_, []).append(self.stored[id_])
        self.stored[id_] = record

    def begin(self, *, based: bool = True) -> None:
        self.site.begin(self.job, base=self.head if self.roots and based else None)

    def tree(self, *chunks: bytes) -> tuple[tuple[bytes, bytes], bytes]:
        """Block and companion, which are sent, and a payload."""
        leaf = self.job.sealer.leaf([bytes(40) + id_ for id_ in chunks])
        self.send_records(*leaf)
        return leaf, self.job.sealer.payload(leaf)

    def commit(self, *chunks: bytes, complete: bool = True, sent: tuple[bytes, ...] | None = None) -> int:
        """A safeset of these chunks, of which the run sends those in `sent`, else all."""
        self.send(*(chunks if sent is None else sent))
        leaf, payload = self.tree(*chunks)
        number = len(self.roots) + 1
        root = self.job.sealer.root(leaf, payload, sequence=number, previous=self.head, complete=int(complete))
        self.site.commit(self.job, root, payload)
        self.roots.append(root)
        self._note(payload)
        self.used[number] = {*chunks, *map(id_of, leaf), id_of(payload)}
        return number

    def run(self, *chunks: bytes, **more: object) -> int:
        """A whole run, a day after the one before."""
        self.site.clock.advance(DAY_SECONDS)
        self.begin()
        number = self.commit(*chunks, **more)  # type: ignore[arg-type]
        self.site.end(self.job)
        return number

    def delete(self, number: int) -> None:
        held_safesets.delete(self.site.vault, self.owner, Named(self.name, "home", number))

    def keep_house(self) -> None:
        keep_house(self.site, self.job)

    def purge(self, *numbers: int) -> None:
        for number in numbers:
            self.delete(number)
        self.site.clock.advance(8 * DAY_SECONDS)
        self.keep_house()

    def offer(self, *ids: bytes) -> list[bool]:
        """Whether each is missing, as an agent is told."""
        found = offer.offer(self.site.vault, self.job.agent.identity, self.job.sealer.run_id, b"".join(ids))
        return [bool(found.bitmap[at // 8] >> at % 8 & 1) for at in range(len(ids))]

    def is_there(self, id_: bytes) -> bool:
        """Read from the disk, byte for byte."""
        store = self.site.vault.store
        (location,) = store.locate(self.keyring_id, [id_])
        is_missing = store.missing(self.keyring_id, [id_]) == [True]
        if location is None:
            assert is_missing
            return False
        is_read = self.is_read(id_)
        assert is_read is not is_missing
        return is_read

    def is_read(self, id_: bytes) -> bool:
        """Whatever is said of it."""
        (location,) = self.site.vault.store.locate(self.keyring_id, [id_])
        try:
            return location is not None and self.site.vault.store.read(location, id_) == self.stored[id_]
        except StoreError:
            return False

    def are_there(self, ids: set[bytes]) -> set[bool]:
        return {self.is_there(id_) for id_ in ids}

    def collection(self) -> KeyringCollection:
        return KeyringCollection(self.site.vault, self.job.job.account_id, self.keyring_id, ContainerUse())

    def in_pieces(self, one: KeyringCollection) -> Iterator[None]:
        """All of it but its beginning, as the daemon does it; other work may come between any two pieces."""
        yield from one.mark()
        for rows in one.sweep():
            yield
            while rows and one.drop(rows) is None:
                yield from one.pass_barrier()
        yield from one.look_for_missing()
        yield from one.look_for_keys()
        one.forget_keys()
        one.end()

    def move(self) -> Iterator[None]:
        """Every container that can be moved, however much of it is dead."""
        house = self.site.vault.store.house
        rows = house.can_move()
        house.plan(list(rows))
        for row in rows.values():
            places = house.needed_of(row)
            yield
            copies = None if places is None else house.copies(places)
            yield
            if copies is not None:
                house.move(row, copies)
                yield
                if house.needed_of(row) == []:
                    house.retire(row)
                    yield
            house.forget_planned([row.number])
        ledger.write(self.site.vault)  # what was read and is damaged
        removed = house.remove_files()
        yield
        house.forget_files(removed)

    def collect(self, *, before_drop: Step = nothing, after_mark: Step = nothing) -> Dropped:
        """As the daemon does it; what `before_drop` does comes before the first call that drops."""
        one, found = self.collection(), Dropped()
        one.begin()
        for _ in one.mark():
            pass
        after_mark()
        steps = [before_drop]
        for rows in one.sweep():
            while steps:
                steps.pop()()
            while rows and (dropped := one.drop(rows)) is None:
                for _ in one.pass_barrier():
                    pass
            found.records += dropped[0] if rows and dropped else 0
        for _ in one.look_for_keys():
            pass
        found.keys = one.forget_keys()
        one.end()
        found.held_by = one.held_by
        return found


def make_collected(site: Site, owner: Identity | None = None, name: str = "laptop") -> Collected:
    owner = owner or site.administrator()
    job = site.ready(owner, name)
    return Collected(site, owner, job, name)
