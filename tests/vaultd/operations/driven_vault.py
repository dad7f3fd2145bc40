"""A vault under a small model of what it keeps: the rules by which hypothesis drives both, in any order."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from tests.vaultd.operations.collected_site import Collected, make_collected
from tests.vaultd.operations.job_keys import change_password, key_of
from tests.vaultd.operations.kept_job import DAY_SECONDS
from tests.vaultd.operations.small_site import make_site
from tests.vaultd.operations.unlooked_images import MEMORY, images_unlooked
from tests.vaultd.operations.vault_model import COPIES, DAYS, VaultModel
from tests.vaultd.store.fakes import flip
from vaultd.operations import (
    damaged_safesets,
    distrust,
    held_safesets,
    ledger,
    retention_types,
    scrub,
)
from vaultd.operations.collection import KeyringCollection
from vaultd.operations.distrust import Suspicion
from vaultd.operations.held_safesets import Named
from vaultd.operations.vault import close_vault, open_vault
from vaultd.store.disk_door import SystemDoor

CONTAINER_BYTES = 128 * 1024
CHUNK_BYTES = 20_000
LEASE_HOURS = 25
PICKS = st.lists(st.integers(0, 99), max_size=4)
PICK = st.integers(0, 99)


class DrivenVault(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp(dir=MEMORY))
        self.unlooked = images_unlooked()
        self.unlooked.start()
        site = make_site(self.directory)
        close_vault(site.vault)
        site.config = replace(site.config, container_bytes=CONTAINER_BYTES)
        site.vault = open_vault(site.config, site.clock, SystemDoor())
        self.site = site
        self.job: Collected = make_collected(site)
        retention_types.set_type(site.vault, self.job.owner, "daily", DAYS, COPIES)
        self.model = VaultModel()
        self.model.begin(self.job.job.sealer.key_id, self.now_ns)
        self.end()
        self.chunks: list[bytes] = []
        self.collection: KeyringCollection | None = None
        self.pieces: Iterator[None] = iter(())

    def teardown(self) -> None:
        close_vault(self.site.vault)
        self.unlooked.stop()
        shutil.rmtree(self.directory)

    @property
    def now_ns(self) -> int:
        return self.site.clock.now_ns()

    def named(self, number: int) -> Named:
        return Named("laptop", "home", number)

    def is_distrusted(self, id_: bytes) -> bool:
        return id_ in self.job.stored and key_of(self.job.stored[id_]) in self.model.distrusted

    def missing(self, ids: set[bytes]) -> set[bytes]:
        ordered = sorted(ids)
        found = self.site.vault.store.missing(self.job.keyring_id, ordered)
        return {id_ for id_, is_missing in zip(ordered, found, strict=True) if is_missing}

    # Runs

    @initialize(runs=st.integers(1, 5))
    def make_history(self, runs: int) -> None:
        """Each example leaves out some of the rules, often those of runs: without any there is nothing to go wrong."""
        for _ in range(runs):
            self.offer([1, 2], 2)
            self.commit(complete=True)

    @rule(picks=PICKS, new=st.integers(1, 3))
    def offer(self, picks: list[int], new: int) -> None:
        """A run begins, or goes on, and asks what is there; what is not it sends."""
        if not self.model.is_running:
            self.site.clock.advance(DAY_SECONDS)
            self.job.begin()
            self.model.begin(self.job.job.sealer.key_id, self.now_ns)
        self.chunks += [self.job.chunk(bytes([len(self.chunks) + number]) * CHUNK_BYTES) for number in range(new)]
        picked = [self.chunks[-1 - pick % len(self.chunks)] for pick in picks]
        asked = list(dict.fromkeys(picked + self.chunks[-new:]))
        missing = [id_ for id_, is_missing in zip(asked, self.job.offer(*asked), strict=True) if is_missing]
        assert {id_ for id_ in asked if id_ in self.model.damaged or self.is_distrusted(id_)} <= set(missing)
        self.job.send(*missing)
        self.model.sends(missing)
        self.model.told |= set(asked)

    @precondition(lambda self: self.model.told)
    @rule(complete=st.booleans())
    def commit(self, *, complete: bool) -> None:
        number = self.job.commit(*sorted(self.model.told), complete=complete, sent=())
        self.model.commit(number, self.now_ns, complete=complete)
        if complete:
            self.end()

    @precondition(lambda self: self.model.is_running)
    @rule()
    def end(self) -> None:
        self.site.end(self.job.job)
        self.model.end(self.now_ns)

    @precondition(lambda self: self.model.is_running)
    @rule()
    def silence(self) -> None:
        """The run is not heard of for longer than its leases last."""
        self.site.clock.advance(LEASE_HOURS * 3600)
        self.end()

    # What becomes of safesets

    @rule(pick=PICK)
    def delete(self, pick: int) -> None:
        if numbers := self.model.deletable():
            number = numbers[pick % len(numbers)]
            self.job.delete(number)
            self.model.delete(number, self.now_ns)

    @rule(pick=PICK)
    def undelete(self, pick: int) -> None:
        """Which pins it."""
        if numbers := self.model.ended():
            number = numbers[pick % len(numbers)]
            held_safesets.undelete(self.site.vault, self.job.owner, self.named(number), "needed")
            self.model.undelete(number)

    @rule(pick=PICK)
    def pin_or_unpin(self, pick: int) -> None:
        if numbers := self.model.complete():
            number = numbers[pick % len(numbers)]
            kept = self.model.kept[number]
            words = (self.site.vault, self.job.owner, self.named(number))
            held_safesets.unpin(*words) if kept.is_pinned else held_safesets.pin(*words, "the audit")
            kept.is_pinned = not kept.is_pinned

    @precondition(lambda self: not self.model.is_running)
    @rule(days=st.sampled_from([1, 8]))
    def expire_and_purge(self, days: int) -> None:
        self.site.clock.advance(days * DAY_SECONDS)
        self.job.keep_house()
        self.model.keep_house(self.now_ns)

    # Keeping house

    @rule(steps=st.integers(1, 6))
    def collect_some(self, steps: int) -> None:
        """A collection goes on beside everything else, piece by piece."""
        if self.collection is None:
            self.collection = self.job.collection()
            self.collection.begin()
            self.pieces = self.job.in_pieces(self.collection)
        for _ in range(steps):
            if next(self.pieces, self) is self:
                self.collection = None
                return

    @rule()
    def collect(self) -> None:
        self.collect_some(10_000)

    @rule()
    def move(self) -> None:
        for _ in self.job.move():
            pass

    # Faults

    @rule(pick=PICK, is_met=st.booleans())
    def damage(self, pick: int, *, is_met: bool) -> None:
        """One bit of each copy of a chunk, which somebody reads then, or nobody."""
        bad = self.model.damaged | self.model.hurt
        there = [id_ for id_ in self.chunks if id_ not in bad and self.job.is_read(id_)]
        if not there:
            return
        id_ = there[pick % len(there)]
        for record in [self.job.stored[id_], *self.job.earlier.get(id_, [])]:
            self._flip_all(record)
        self.model.hurts(id_, is_met=is_met)
        if is_met:
            assert not self.job.is_read(id_)
            ledger.write(self.site.vault)

    def _flip_all(self, record: bytes) -> None:
        for path in self.site.config.directory.glob("disk-*/containers/*/*"):
            data = path.read_bytes()
            at = data.find(record)
            while at >= 0:  # a copy that was moved may lie beside the first
                flip(path, at + len(record) - 1)
                at = data.find(record, at + 1)

    @rule()
    def scrub(self) -> None:
        """All that is hurt is found, is missing from then on, and the safesets that use it are named."""
        vault = self.site.vault
        for row in vault.store.containers():
            for piece in scrub.read_container(vault, *scrub.open_container(vault, row.number)):
                scrub.note(vault, piece)
        assert self.missing(self.model.hurt) == self.model.hurt
        self.model.meets(self.model.hurt)
        look = damaged_safesets.Look(vault, None)
        for found in (*look.run_damaged(), *look.run()):
            damaged_safesets.settle(vault, found)
        hit = {number: len(self.job.used[number] & self.model.damaged) for number in self.model.live()}
        named = {one.number: one.records for one in scrub.hit(vault, b"").hits}
        assert named == {number: count for number, count in hit.items() if count}

    @rule(days=st.integers(0, 9), undo=st.booleans())
    def distrust(self, days: int, *, undo: bool) -> None:
        """Of what the computer did in these last days, or trust in it again."""
        suspicion = Suspicion("laptop", self.now_ns - days * DAY_SECONDS * 1_000_000_000)
        keys = self.model.suspect_keys(suspicion.since_ns)
        act = distrust.trust_again if undo else distrust.distrust
        act(self.site.vault, self.job.owner, suspicion)
        if undo:
            self.model.distrusted -= keys
        else:
            self.model.distrusted |= keys
            self.model.end(self.now_ns)

    @rule(rotates=st.booleans())
    def change_password(self, *, rotates: bool) -> None:
        change_password(self.job, rotates=rotates)
        if rotates:
            self.model.end(self.now_ns)

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
        self.model.forgets_damage()

    def forget_collection(self) -> None:
        """It dies with the process."""
        self.collection, self.pieces = None, iter(())
