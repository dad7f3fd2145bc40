"""A small model of what a vault keeps, driven against the real one: runs, deletions, purges, collections in pieces,
moves of containers, damage, stops and lost indexes, in any order.

What a live safeset uses reads back byte for byte, what a run was told is there stays until it ends, and when nothing
goes on any more, what nobody uses is gone.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tests.vaultd.operations.collected_site import Collected, make_collected
from tests.vaultd.operations.kept_job import DAY_SECONDS
from tests.vaultd.operations.small_site import make_site
from tests.vaultd.store.fakes import flip
from vaultd.operations import held_safesets, ledger
from vaultd.operations.collection import KeyringCollection
from vaultd.operations.held_safesets import Named
from vaultd.operations.vault import close_vault, open_vault
from vaultd.store.disk_door import SystemDoor

CONTAINER_BYTES = 128 * 1024
CHUNK_BYTES = 20_000
LEASE_HOURS = 25
PICKS = st.lists(st.integers(0, 99), max_size=4)


@dataclass
class Kept:
    complete: bool
    run: int
    state: str = "standing"  # then deleted, purged


class Vault(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp())
        site = make_site(self.directory)
        close_vault(site.vault)
        site.config = replace(site.config, container_bytes=CONTAINER_BYTES)
        site.vault = open_vault(site.config, site.clock, SystemDoor())
        self.site = site
        self.job: Collected = make_collected(site)
        self.chunks: list[bytes] = []
        self.kept: dict[int, Kept] = {}
        self.runs = 1
        self.is_running = False
        self.told: set[bytes] = set()  # to the run that goes on: these are there
        self.damaged: set[bytes] = set()
        self.collection: KeyringCollection | None = None
        self.pieces: Iterator[None] = iter(())
        self.newest_complete = 0

    def teardown(self) -> None:
        try:
            self.end_of_all()
        finally:
            close_vault(self.site.vault)
            shutil.rmtree(self.directory)

    # Runs

    @rule(picks=PICKS, new=st.integers(1, 3))
    def offer(self, picks: list[int], new: int) -> None:
        """A run begins, or goes on, and asks what is there; what is not it sends."""
        if not self.is_running:
            self.site.clock.advance(DAY_SECONDS)
            self.job.begin()
            self.is_running, self.runs = True, self.runs + 1
        self.chunks += [self.job.chunk(bytes([len(self.chunks) + number]) * CHUNK_BYTES) for number in range(new)]
        picked = [self.chunks[-1 - pick % len(self.chunks)] for pick in picks]
        asked = list(dict.fromkeys(picked + self.chunks[-new:]))
        missing = [id_ for id_, is_missing in zip(asked, self.job.offer(*asked), strict=True) if is_missing]
        self.job.send(*missing)
        self.damaged -= set(missing)
        self.told |= set(asked)

    @precondition(lambda self: self.told)
    @rule(complete=st.booleans())
    def commit(self, *, complete: bool) -> None:
        if not self.is_running:
            return
        number = self.job.commit(*sorted(self.told), complete=complete, sent=())
        self.kept[number] = Kept(complete, self.runs)
        if complete:
            self.newest_complete = number
            self.end()

    @precondition(lambda self: self.is_running)
    @rule()
    def end(self) -> None:
        self.site.end(self.job.job)
        self.is_running, self.told = False, set()

    # What becomes of safesets

    @rule(pick=st.integers(0, 99))
    def delete(self, pick: int) -> None:
        standing = [number for number in self.visible() if self.kept[number].complete]
        standing = [number for number in standing if number != self.newest_complete]
        if standing:
            number = standing[pick % len(standing)]
            self.job.delete(number)
            self.kept[number].state = "deleted"

    @rule(pick=st.integers(0, 99))
    def undelete(self, pick: int) -> None:
        deleted = [number for number, kept in self.kept.items() if kept.state == "deleted"]
        if deleted:
            number = deleted[pick % len(deleted)]
            held_safesets.undelete(self.site.vault, self.job.owner, Named("laptop", "home", number), "needed")
            held_safesets.unpin(self.site.vault, self.job.owner, Named("laptop", "home", number))
            self.kept[number].state = "standing"

    @precondition(lambda self: not self.is_running)
    @rule()
    def purge(self) -> None:
        if any(kept.state == "deleted" for kept in self.kept.values()):
            self.site.clock.advance(8 * DAY_SECONDS)
            self.job.keep_house()
            for kept in self.kept.values():
                kept.state = "purged" if kept.state == "deleted" else kept.state

    # Keeping house

    @rule(steps=st.integers(1, 6))
    def collect_some(self, steps: int) -> None:
        """A collection goes on beside everything else, piece by piece."""
        if self.collection is None:
            self.collection = self.job.collection()
            self.collection.begin()
            self.pieces = self.collect_in_pieces(self.collection)
        for _ in range(steps):
            if next(self.pieces, self) is self:
                self.collection = None
                return

    def collect_in_pieces(self, one: KeyringCollection) -> Iterator[None]:
        yield from one.mark()
        for rows in one.sweep():
            yield
            while rows and one.drop(rows) is None:
                yield from one.pass_barrier()
        yield from one.look_for_missing()
        yield from one.look_for_keys()
        one.forget_keys()
        one.end()

    @rule()
    def collect(self) -> None:
        self.collect_some(10_000)

    @rule()
    def move(self) -> None:
        house = self.site.vault.store.house
        for row in house.can_move().values():
            places = house.needed_of(row)
            copies = None if places is None else house.copies(places)
            if copies is None:
                continue
            house.move(row, copies)
            if house.needed_of(row) == []:
                house.retire(row)
        house.forget_files(house.remove_files())

    # Faults

    @rule(pick=st.integers(0, 99))
    def damage(self, pick: int) -> None:
        """One bit of a chunk, which somebody reads then."""
        there = [id_ for id_ in self.chunks if id_ not in self.damaged and self.job.is_there(id_)]
        if not there:
            return
        id_ = there[pick % len(there)]
        record = self.job.stored[id_]
        for path in self.site.config.directory.glob("disk-*/containers/*/*"):
            data = path.read_bytes()
            at = data.find(record)
            while at >= 0:  # a copy that was moved may lie beside the first
                flip(path, at + len(record) - 1)
                at = data.find(record, at + 1)
        self.damaged.add(id_)
        self.told.discard(id_)
        self.job.is_read(id_)
        ledger.write(self.site.vault)

    @rule()
    def restart(self) -> None:
        self.forget_collection()
        self.site.reopen()

    @rule()
    def crash(self) -> None:
        self.forget_collection()
        self.site.crash()

    @rule()
    def rebuild(self) -> None:
        self.forget_collection()
        close_vault(self.site.vault)
        shutil.rmtree(self.site.config.directory / "index")
        self.site.vault = open_vault(self.site.config, self.site.clock, SystemDoor())

    @precondition(lambda self: self.is_running)
    @rule()
    def silence(self) -> None:
        """The run is not heard of for longer than its leases last."""
        self.site.clock.advance(LEASE_HOURS * 3600)
        self.end()

    def forget_collection(self) -> None:
        """It dies with the process."""
        self.collection, self.pieces = None, iter(())

    # What must hold

    def visible(self) -> list[int]:
        return [n for n, kept in self.kept.items() if kept.state == "standing" and not self.is_replaced(n)]

    def is_replaced(self, number: int) -> bool:
        kept = self.kept[number]
        later = [one for other, one in self.kept.items() if other > number]
        return not kept.complete and any(one.complete or one.run == kept.run for one in later)

    def live(self) -> set[int]:
        return {n for n, kept in self.kept.items() if kept.state != "purged" and not self.is_replaced(n)}

    @invariant()
    def what_is_used_is_there(self) -> None:
        needed = set(self.told).union(*(self.job.used[number] for number in self.live()))
        assert {id_ for id_ in needed - self.damaged if not self.job.is_there(id_)} == set()
        assert {id_ for id_ in self.damaged if self.job.is_read(id_)} == set()

    def end_of_all(self) -> None:
        """Nothing goes on: what nobody uses is dropped, and stays so."""
        if self.is_running:
            self.end()
        self.forget_collection()
        self.restart()
        self.site.clock.advance(LEASE_HOURS * 3600)
        self.collect()
        kept = set[bytes]().union(*(self.job.used[number] for number in self.live()))
        dead = set(self.job.stored) - kept
        for again in (lambda: None, self.move, self.rebuild):
            again()
            self.what_is_used_is_there()
            assert {id_ for id_ in dead if self.job.is_there(id_)} == set()


Vault.TestCase.settings = settings(max_examples=6, stateful_step_count=30, deadline=None)
TestVault = Vault.TestCase
