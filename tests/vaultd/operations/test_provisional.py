"""Safesets that a run makes on its way: each is replaced by the next of its run and by the next complete one, and what
was replaced is neither listed nor restored nor counted nor called hit. The chain of roots keeps them all.
"""

import os
from dataclasses import dataclass, field

import msgspec
import pytest
from blake3 import blake3

from tests.vaultd.operations.sealing import DATA, id_of
from tests.vaultd.operations.small_site import PROOF, BackedUp, Site
from tests.vaultd.operations.test_check import check
from tests.vaultd.operations.test_disk_hits import Spread
from vaultd.catalog.jobs import update_job
from vaultd.errors import Conflict, NotFound
from vaultd.operations import access, accounts, jobs, restore, safesets, status
from vaultd.operations.restore import OpenRequest
from vaultd.operations.safeset_roots import roots_after
from vaultd.store.chunk_store import ChunkStore
from vaultd.store.errors import RecordDamaged

Pair = tuple[bytes, bytes]


@dataclass
class Long:
    """Runs of one job: each safeset holds all leaves so far, under one top, and one more."""

    site: Site
    job: BackedUp
    leaves: list[Pair] = field(default_factory=list)
    roots: list[bytes] = field(default_factory=list)
    chunks: list[bytes] = field(default_factory=list)

    @property
    def head(self) -> bytes:
        return blake3(self.roots[-1]).digest() if self.roots else bytes(32)

    def begin(self) -> None:
        self.site.begin(self.job, base=self.head if self.roots else None)

    def add(self, *, complete: bool = False, keep: bool = True, **changed: object) -> int:
        """The number of the next safeset; its new leaf is in all later ones only where it is to be kept."""
        sealer = self.job.sealer
        self.chunks.append(sealer.record(DATA, os.urandom(50)))
        leaf = sealer.leaf([self.chunks[-1]])
        leaves = [*self.leaves, leaf]
        top = sealer.inner(1, leaves)
        self.site.upload(self.job, self.chunks[-1], *leaf, *top)
        if keep:
            self.leaves = leaves
        return self.commit(top, 1, complete=int(complete), **changed)

    def commit(self, top: Pair, level: int, **changed: object) -> int:
        payload = self.job.sealer.payload(top, level)
        number = len(self.roots) + 1
        place = {"level": level, "sequence": number, "previous": self.head}
        root = self.job.sealer.root(top, payload, **place, **changed)
        assert self.site.commit(self.job, root, payload).sequence == number
        self.roots.append(root)
        return number

    def listed(self) -> list[int]:
        page = safesets.list_page(self.site.vault, self.job.agent.identity, "laptop", "home", None, 100)
        return [one.number for one in page.safesets]

    def open(self, number: int) -> bytes:
        asked = OpenRequest(None, "home", self.job.slot_id, PROOF, number)
        return restore.open_restore(self.site.vault, self.job.agent.identity, asked).root

    def require_newest(self, number: int) -> None:
        assert self.open(0) == self.roots[number - 1]
        found = restore.parameters(self.site.vault, self.job.agent.identity, None, "home")
        assert found.safesets_newest == number
        (row,) = jobs.list_all(self.site.vault, self.job.agent.identity, "laptop")
        assert row.head_sequence == number

    def require_counted(self, safesets_here: int, protected_bytes: int) -> None:
        found = accounts.show(self.site.vault, "acme").account
        assert (found.safesets, found.protected_bytes) == (safesets_here, protected_bytes)
        assert status.vault_status(self.site.vault, "1", 0).safesets == safesets_here


@pytest.fixture
def long(site: Site) -> Long:
    return Long(site, site.ready())


def test_the_next_of_the_run_takes_its_place(long: Long) -> None:
    for number in (1, 2, 3):
        assert long.add(protected_bytes=number) == number
        assert long.listed() == [number]
        long.require_newest(number)  # there is no complete one
        long.require_counted(1, 0)
    assert long.add(complete=True, protected_bytes=40) == 4
    assert long.listed() == [4]
    long.require_newest(4)
    long.require_counted(1, 40)


def test_a_run_that_was_killed_leaves_its_last_one_until_the_next_complete_one(long: Long) -> None:
    long.add(complete=True, protected_bytes=10)
    for _ in range(2):
        long.begin()
        long.add(protected_bytes=90)
        long.add(protected_bytes=95)
    long.begin()
    long.add()
    assert long.listed() == [1, 3, 5, 6]
    long.require_newest(1)
    long.require_counted(4, 10)
    assert [long.open(number) for number in (3, 5, 6)] == [long.roots[number - 1] for number in (3, 5, 6)]
    assert check(long.site).findings == []
    long.add(complete=True, protected_bytes=11)
    assert long.listed() == [1, 7]
    long.require_newest(7)
    long.require_counted(2, 11)
    assert check(long.site).findings == []


def test_a_run_is_shown_with_a_safeset_that_is_there_alone(long: Long) -> None:
    def shown() -> list[int]:
        details = jobs.show(long.site.vault, long.job.agent.identity, "laptop", "home")
        return [run.sequence for run in details.runs]

    long.add(complete=True)
    long.begin()
    long.add()
    long.begin()
    long.add()
    long.add()
    assert shown() == [4, 2, 1]
    long.begin()
    assert shown() == [0, 4, 2, 1]
    long.add(complete=True)
    assert shown() == [5, 0, 0, 1]


def test_one_that_was_replaced_is_not_restored_and_the_sentence_says_by_which(long: Long) -> None:
    long.add()
    long.add()
    long.begin()
    long.add()
    long.begin()
    long.add(complete=True)
    long.begin()
    long.add()
    for number, newer in ((1, 2), (2, 4), (3, 4)):
        sentence = f"safeset {number} was provisional and was replaced by safeset {newer}"
        with pytest.raises(NotFound) as refused:
            long.open(number)
        assert (refused.value.message, f"restore safeset {newer}," in refused.value.hint) == (sentence, True)
    assert long.open(5) == long.roots[4]
    with pytest.raises(NotFound, match="does not have safeset 6"):
        long.open(6)


def test_pages_of_the_list_leave_them_out(long: Long, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(3):
        long.add()
        long.add()
        long.add(complete=True)
        long.begin()
    long.add()
    for rows, count in ((100, 1), (100, 2), (100, 4), (1, 2), (2, 100)):
        monkeypatch.setattr(safesets, "ROWS_AT_ONCE", rows)
        numbers: list[int] = []
        after, is_last = None, False
        while not is_last:
            page = safesets.list_page(long.site.vault, long.job.agent.identity, "laptop", "home", after, count)
            assert len(page.safesets) <= count
            numbers += [one.number for one in page.safesets]
            after, is_last = page.next, page.next is None
        assert numbers == [3, 6, 9, 10]


def test_the_chain_keeps_them_and_they_are_there_after_a_crash(long: Long) -> None:
    long.add()
    long.add()
    long.site.crash()
    long.add(complete=True)
    long.site.crash()
    identity, job_id = long.job.agent.identity, long.job.sealer.job_id
    assert roots_after(long.site.vault, identity, job_id, 0, 10) == long.roots
    found = [safesets.find(long.site.vault, identity, job_id, blake3(root).digest()).sequence for root in long.roots]
    assert found == [1, 2, 3]
    assert long.listed() == [3]
    long.begin()  # the agent may build on it
    long.add(complete=True)
    assert long.listed() == [3, 4]


def test_a_run_makes_one_complete_safeset(long: Long) -> None:
    long.add()
    long.add(complete=True)
    for complete in (False, True):
        with pytest.raises(Conflict, match="root: the run has made its complete safeset 2 already"):
            long.add(complete=complete)
    long.begin()
    assert long.add() == 3


def test_the_check_names_nobody_who_could_restore_it(long: Long) -> None:
    """A record that only replaced ones use is used by no safeset, and the one that the kept ones use by those alone."""
    long.add()
    long.add(keep=False)
    long.add(complete=True)
    flip(long.site, long.chunks[1])
    (found,) = check(long.site).findings
    assert found.sentence.endswith("; no safeset uses it")
    flip(long.site, long.chunks[0])
    used = [one.sentence for one in check(long.site).findings if id_of(long.chunks[0]).hex() in one.sentence]
    assert [sentence.split("; ")[1] for sentence in used] == [
        "used by account acme, computer laptop, job home, safeset 3"
    ]


def test_the_check_still_verifies_the_roots_of_the_chain(long: Long) -> None:
    long.add()
    long.add(complete=True)
    catalog = long.site.vault.catalog
    with catalog.read() as view:
        key, value = next(view.scan("safesets"))
    at = value.index(long.roots[0]) + 200
    catalog.apply([("safesets", key, value[:at] + bytes([value[at] ^ 1]) + value[at + 1 :])], catalog.position())
    (found,) = check(long.site).findings
    assert found.place == "account acme, computer laptop, job home, safeset 1"
    assert "its root is not the one that was stored" in found.sentence


def test_a_wrong_count_is_told(long: Long) -> None:
    long.add()
    long.add()
    catalog = long.site.vault.catalog
    with catalog.read() as view:
        job = access.own_job(view, long.job.agent.identity, long.job.sealer.job_id)
    catalog.apply(update_job(msgspec.structs.replace(job, safesets=2)), catalog.position())
    (found,) = check(long.site).findings
    assert found.sentence == "it has 2 safesets by its own count, but 1 are here"


def test_a_disk_that_is_away_hits_none_of_them(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    spread = Spread(site, monkeypatch)
    long = Long(site, site.ready())
    there = long.job.sealer.record(DATA, b"there")
    leaf = long.job.sealer.leaf([there])
    spread.store(long.job, 1, there)
    spread.store(long.job, 0, *leaf)
    long.commit(leaf, 0, complete=0)
    long.commit(leaf, 0, complete=0)
    assert spread.hits() == [("acme", "laptop", "home", 2, 1, False)]
    long.add(complete=True)
    spread.lose()
    spread.start()
    assert spread.hits() == []
    assert spread.check() == []


def test_the_next_one_costs_what_is_new(long: Long, monkeypatch: pytest.MonkeyPatch) -> None:
    """The safesets grow by a leaf each; what is looked up for them does not, also for what only the base holds."""
    looked_up: list[bytes] = []
    read: list[bytes] = []
    real, real_read = ChunkStore.missing_leased, ChunkStore.read
    monkeypatch.setattr(
        ChunkStore, "missing_leased", lambda self, keyring, ids: looked_up.extend(ids) or real(self, keyring, ids)
    )
    monkeypatch.setattr(ChunkStore, "read", lambda self, place, id_: read.append(id_) or real_read(self, place, id_))
    for _ in range(20):
        long.add()
    long.add(complete=True)
    base_leaves = long.leaves
    long.begin()
    long.leaves = []
    counts = []
    for _ in range(20):
        looked_up.clear()
        read.clear()
        long.add()
        known = {id_of(beside) for _, beside in [*base_leaves, *long.leaves[:-1]]}
        assert not known & set(read)
        counts.append(len(set(looked_up)) - len(long.leaves))
    assert set(counts) == {2}, "the top block and the new chunk, beside the blocks that the top names"
    long.leaves = [*long.leaves, *base_leaves]
    read.clear()
    long.add(complete=True)
    assert not {id_of(beside) for _, beside in long.leaves[:-1]} & set(read)


def test_damage_that_is_met_between_two_of_them_is_seen(long: Long) -> None:
    """The second holds all of the first: that the first was whole once is no answer any more."""
    long.add()
    flip(long.site, long.chunks[0])
    store = long.site.vault.store
    (place,) = store.locate(long.job.sealer.keyring_id, [id_of(long.chunks[0])])
    assert place is not None
    with pytest.raises(RecordDamaged):
        store.read(place, id_of(long.chunks[0]))
    with pytest.raises(Conflict, match=f"1 records .* missing or damaged, the first is {id_of(long.chunks[0]).hex()}"):
        long.add()
    assert long.listed() == [1]


def flip(site: Site, record: bytes) -> None:
    """Its last byte on the disk."""
    for path in site.config.directory.glob("disk-*/containers/*/*"):
        data = path.read_bytes()
        if record in data:
            at = data.index(record) + len(record) - 1
            path.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
            return
    raise AssertionError
