"""What a collection drops, and what it leaves: a small model of what safesets use is held against the store."""

from __future__ import annotations

import shutil

import pytest

from tests.vaultd.operations.collected_site import Collected, make_collected
from tests.vaultd.operations.kept_job import DAY_SECONDS
from tests.vaultd.operations.sealing import id_of
from tests.vaultd.operations.small_site import PROOF, Site
from tests.vaultd.operations.test_check import check
from vaultd.catalog.keyrings import list_run_key_ids
from vaultd.errors import Conflict
from vaultd.operations import collection, held_safesets, restore, runs, safesets
from vaultd.operations.held_safesets import Named
from vaultd.operations.restore import OpenRequest
from vaultd.operations.vault import close_vault, open_vault
from vaultd.store.disk_door import SystemDoor
from vaultd.store.leases import LEASE_SECONDS

HELD_SECONDS = LEASE_SECONDS + 1


@pytest.fixture
def collected(site: Site) -> Collected:
    return make_collected(site)


def require(collected: Collected, *live: int) -> None:
    """What these safesets use is there, and what only others used is not."""
    kept = set().union(*(collected.used[number] for number in live))
    gone = set().union(*collected.used.values()) - kept
    assert collected.are_there(kept) <= {True}
    assert collected.are_there(gone) <= {False}


def test_what_only_purged_safesets_used_is_dropped(collected: Collected) -> None:
    shared, one, two, three = (collected.chunk() for _ in range(4))
    collected.run(shared, one)
    collected.run(shared, two, sent=(two,))
    collected.run(shared, three, sent=(three,))
    assert collected.collect().records == 0
    require(collected, 1, 2, 3)
    collected.purge(1, 2)
    assert collected.collect().records == 8  # of each a chunk, block, companion and payload
    require(collected, 3)
    assert collected.collect().records == 0


def test_what_was_dropped_stays_so(collected: Collected) -> None:
    site = collected.site
    shared, one, two = (collected.chunk() for _ in range(3))
    collected.run(shared, one)
    collected.run(shared, two, sent=(two,))
    collected.purge(1)
    collected.collect()
    for start in (site.reopen, site.crash):
        start()
        require(collected, 2)
    for images in (["index"], ["catalog"], ["index", "catalog"]):
        close_vault(site.vault)
        for image in images:
            shutil.rmtree(site.config.directory / image)
        site.vault = open_vault(site.config, site.clock, SystemDoor())
        require(collected, 2)
    assert check(site).findings == []


def test_what_can_be_brought_back_stays(collected: Collected) -> None:
    collected.run(collected.chunk())
    collected.run(collected.chunk())
    collected.delete(1)
    assert collected.collect().records == 0
    held_safesets.undelete(collected.site.vault, collected.owner, Named("laptop", "home", 1), "needed")
    collected.site.clock.advance(20 * DAY_SECONDS)
    collected.keep_house()
    assert collected.collect().records == 0
    require(collected, 1, 2)


def test_a_pinned_one_is_neither_purged_nor_dropped(collected: Collected) -> None:
    collected.run(collected.chunk())
    collected.run(collected.chunk())
    held_safesets.pin(collected.site.vault, collected.owner, Named("laptop", "home", 1), "the audit")
    with pytest.raises(Conflict):
        collected.delete(1)
    collected.site.clock.advance(200 * DAY_SECONDS)
    collected.keep_house()
    assert collected.collect().records == 0
    require(collected, 1, 2)


def test_what_a_run_was_told_is_there_stays_until_it_ends(collected: Collected) -> None:
    old = collected.chunk()
    collected.run(old)
    collected.run(collected.chunk())
    collected.purge(1)
    collected.begin()
    assert collected.offer(old) == [False]
    assert collected.collect().records == 3  # block, companion and payload of the first
    assert collected.is_there(old)
    collected.commit(old, sent=())
    collected.site.end(collected.job)
    assert collected.collect().records == 0
    require(collected, 2, 3)


def test_what_a_run_that_ended_without_a_safeset_had_is_dropped(collected: Collected) -> None:
    old, sent = collected.chunk(), collected.chunk()
    collected.run(old)
    collected.run(collected.chunk())
    collected.purge(1)
    collected.begin()
    assert collected.offer(old) == [False]
    collected.send(sent)
    assert collected.collect().records == 3
    collected.site.end(collected.job)
    assert collected.collect().records == 2
    assert collected.are_there({old, sent}) == {False}


def test_whoever_asks_after_the_leases_were_looked_at_is_told_it_is_missing(
    collected: Collected, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the question who needs it and the end of the drop."""
    old = collected.chunk()
    collected.run(old)
    collected.run(collected.chunk())
    collected.purge(1)
    collected.begin()
    told: list[list[bool]] = []
    ask = collection.KeyringCollection._are_needed

    def asked(one: collection.KeyringCollection, ids: list[bytes]) -> list[bool]:
        needed = ask(one, ids)
        told.append(collected.offer(old))
        return needed

    monkeypatch.setattr(collection.KeyringCollection, "_are_needed", asked)
    collected.collect()
    assert told == [[True]]
    assert collected.offer(old) == [True]


def test_a_lease_comes_before_the_look_up(collected: Collected, monkeypatch: pytest.MonkeyPatch) -> None:
    """A drop in the moment of the look-up finds it."""
    old = collected.chunk()
    collected.run(old)
    collected.run(collected.chunk())
    collected.purge(1)
    collected.begin()
    store = collected.site.vault.store
    look = store.missing

    def looked_up(keyring_id: bytes, ids: list[bytes]) -> list[bool]:
        found = look(keyring_id, ids)
        monkeypatch.setattr(store, "missing", look)
        collected.collect()
        return found

    monkeypatch.setattr(store, "missing", looked_up)
    assert collected.offer(old) == [False]
    assert collected.is_there(old)


def test_what_is_sent_and_was_here_already_stays(collected: Collected) -> None:
    old = collected.chunk()
    collected.run(old)
    collected.run(collected.chunk())
    collected.purge(1)
    collected.begin()
    collected.send(old)  # without an offer: skipped
    collected.collect()
    assert collected.is_there(old)
    collected.commit(old, sent=())
    require(collected, 2, 3)


def test_what_is_looked_up_for_a_commit_stays(collected: Collected) -> None:
    """A root may use what its run neither offered nor sent."""
    old = collected.chunk()
    collected.run(old)
    collected.run(collected.chunk())
    collected.purge(1)
    collected.begin(based=False)
    sealer = collected.job.sealer
    leaf, payload = collected.tree(old)
    root = sealer.root(leaf, payload, sequence=3, previous=collected.head)
    prepared = safesets.prepare(collected.site.vault, collected.job.agent.identity, sealer.run_id, root, payload)
    collected.collect()
    assert isinstance(prepared, safesets.Prepared)
    safesets.commit(collected.site.vault, collected.job.agent.identity, prepared)
    collected.stored[id_of(payload)] = payload
    assert collected.are_there({old, *map(id_of, (*leaf, payload))}) == {True}


def test_a_safeset_that_is_committed_beside_a_mark_is_not_swept(collected: Collected) -> None:
    collected.run(collected.chunk())

    def commit() -> None:
        collected.begin()
        collected.commit(collected.chunk())
        collected.site.end(collected.job)

    for moment in ("after_mark", "before_drop"):
        collected.collect(**{moment: commit})
        require(collected, *collected.used)
    collected.collect()
    require(collected, *collected.used)


def test_the_base_of_a_run_stays_also_when_it_is_purged(collected: Collected) -> None:
    collected.run(collected.chunk())
    base = collected.head
    collected.run(collected.chunk())
    assert collected.site.begin(collected.job, base=base).base_known
    collected.purge(1)
    assert collected.collect().records == 0
    assert collected.are_there(collected.used[1]) == {True}
    collected.site.end(collected.job)
    assert collected.collect().records == 4


def test_a_base_that_was_purged_before_the_run_began_is_not_known(collected: Collected) -> None:
    """It was there when somebody looked, and is asked for once more in the write thread."""
    collected.run(collected.chunk())
    base = collected.head
    collected.run(collected.chunk())
    vault, agent = collected.site.vault, collected.job.agent.identity
    assert safesets.is_whole_base(vault, agent, collected.job.sealer.job_id, base)
    collected.purge(1)
    begun = runs.begin(vault, agent, collected.job.sealer.job_id, b"r" * 16, base)
    assert not begun.base_known
    assert runs.begin(vault, agent, collected.job.sealer.job_id, b"s" * 16, collected.head).base_known


def test_runs_from_before_a_start_hold_their_keyring_for_a_while(collected: Collected) -> None:
    old = collected.chunk()
    collected.run(old)
    collected.run(collected.chunk())
    collected.purge(1)
    collected.begin()
    assert collected.offer(old) == [False]
    collected.site.crash()
    assert collected.collect().held_by == collection.EARLIER_RUN
    assert collected.is_there(old)
    collected.site.clock.advance(HELD_SECONDS)
    assert collected.collect().records == 4
    assert not collected.is_there(old)


def test_a_silent_run_holds_nothing_after_a_day(collected: Collected) -> None:
    old = collected.chunk()
    collected.run(old)
    collected.run(collected.chunk())
    collected.purge(1)
    collected.begin()
    assert collected.offer(old) == [False]
    collected.site.clock.advance(HELD_SECONDS)
    assert collected.collect().records == 4


def test_a_run_that_uses_more_than_can_be_leased_holds_all(collected: Collected) -> None:
    collected.run(collected.chunk())
    collected.run(collected.chunk())
    collected.purge(1)
    collected.site.vault.leases._bytes_max = 16
    collected.begin()
    collected.offer(*(collected.chunk() for _ in range(3)))
    assert collected.collect().held_by == collection.LEASES_FULL
    assert collected.are_there(collected.used[1]) == {True}
    collected.site.end(collected.job)
    assert collected.collect().records == 4


def test_a_mark_that_cannot_read_a_companion_drops_nothing(collected: Collected) -> None:
    collected.run(collected.chunk())
    collected.run(collected.chunk())
    collected.purge(1)
    (beside,) = (collected.stored[id_] for id_ in collected.used[2] if collected.stored[id_].startswith(b"SSC1"))
    for path in collected.site.config.directory.glob("disk-*/containers/*/*"):
        data = bytearray(path.read_bytes())
        if beside in data:
            data[data.index(beside) + len(beside) - 1] ^= 1
            path.write_bytes(data)
    assert id_of(beside).hex() in collected.collect().held_by
    assert collected.are_there(collected.used[1]) == {True}


def test_run_keys_go_with_their_last_record(collected: Collected) -> None:
    def keys() -> int:
        with collected.site.vault.catalog.read() as view:
            return len(list(list_run_key_ids(view, collected.job.job.account_id, collected.job.sealer.keyring_id)))

    shared = collected.chunk()
    collected.run(shared)
    collected.run(shared, sent=())
    collected.run(collected.chunk())
    before = keys()
    assert collected.collect().keys == 1  # of a run that sent nothing
    collected.purge(2)
    assert collected.collect().keys == 1
    collected.begin()  # its key has no record yet
    collected.purge(1)
    assert collected.collect().keys == 1
    assert keys() == before - 3 + 1
    assert check(collected.site).findings == []


def test_what_a_restore_reads_stays_until_its_ticket_ends(collected: Collected) -> None:
    """A provisional safeset may be replaced while it is restored."""
    collected.run(collected.chunk())
    collected.begin()
    collected.commit(collected.chunk(), complete=False)
    asked = OpenRequest(None, "home", collected.job.slot_id, PROOF, 2)
    restore.open_restore(collected.site.vault, collected.job.agent.identity, asked)
    collected.commit(collected.chunk())
    collected.site.end(collected.job)
    assert collected.collect().records == 0
    assert collected.are_there(collected.used[2]) == {True}
    collected.site.clock.advance(HELD_SECONDS)
    assert collected.collect().records == 4
    require(collected, 1, 3)


def test_a_provisional_one_goes_when_it_is_replaced(collected: Collected) -> None:
    collected.run(collected.chunk())
    collected.begin()
    collected.commit(collected.chunk(), complete=False)
    collected.commit(collected.chunk(), complete=False)
    collected.collect()
    assert collected.are_there(collected.used[3]) == {True}
    collected.commit(collected.chunk())
    collected.site.end(collected.job)
    collected.collect()
    require(collected, 1, 4)


def test_another_keyring_is_not_touched(collected: Collected) -> None:
    other = make_collected(collected.site, collected.owner, "desk")
    other.run(other.chunk())
    collected.run(collected.chunk())
    collected.run(collected.chunk())
    collected.purge(1)
    collected.collect()
    require(collected, 2)
    require(other, 1)


def test_what_has_no_row_is_looked_for_in_batches(collected: Collected) -> None:
    """Committed beside the mark, behind its sweep, so that nobody asked for one of them yet."""
    one = collected.collection()
    one.begin()
    assert len(list(one.mark())) == 1
    collected.run(*(collected.chunk() for _ in range(20)))
    for _ in one.pass_barrier():
        pass
    assert one.records_marked == 23
    assert len(list(one.look_for_missing())) == 1
    assert not one.lacks_rows
    one.end()


def test_what_was_leased_is_sorted_before_the_write_thread_asks(collected: Collected) -> None:
    collected.run(collected.chunk())
    collected.run(collected.chunk())
    collected.purge(1)
    collected.begin()
    one = collected.collection()
    one.begin()
    for _ in one.mark():
        pass
    collected.offer(*(collected.chunk() for _ in range(20)))
    assert len(next(one.sweep())) == 4
    assert [len(held) for _, held, _ in one._leased.values()] == [20]
    one.end()
