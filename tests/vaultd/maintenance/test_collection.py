"""When it is collected and what is told: by itself, when somebody asks, and after a start what was planned before."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace

import lmdb
import pytest
import structlog.testing
import trio

from tests.vaultd.operations.collected_site import Collected, make_collected
from tests.vaultd.operations.small_site import Site
from vaultd import metrics
from vaultd.maintenance import collection
from vaultd.maintenance.collection import collect_once, resume_moves
from vaultd.operations import clock_doubt
from vaultd.operations.collection import KeyringCollection
from vaultd.operations.vault import close_vault, open_vault
from vaultd.store.disk_door import SystemDoor
from vaultd.store.errors import FormatError
from vaultd.store.housekeeping import Housekeeping
from vaultd.store.index.stored_rows import StoredRow

COUNTED = ("collections", "records_dropped", "record_bytes_dropped", "containers_moved", "bytes_given_back")
MIB = 1 << 20


@pytest.fixture
def site(site: Site) -> Site:
    """With the smallest containers, and no pauses."""
    close_vault(site.vault)
    site.config = replace(site.config, container_bytes=16 * MIB, collect_percent=100)
    site.vault = open_vault(site.config, site.clock, SystemDoor())
    return site


@pytest.fixture
def collected(site: Site) -> Collected:
    """Container 1 is full of what only a purged safeset used, but for one record."""
    collected = make_collected(site)
    kept = collected.chunk()
    collected.run(kept, *(collected.chunk(bytes([seed]) * 4 * MIB) for seed in range(3)))
    collected.run(kept, *(collected.chunk(bytes([seed]) * 4 * MIB) for seed in (8, 9)))
    collected.purge(1)
    return collected


def counted() -> list[float]:
    return [metrics.REGISTRY.get_sample_value(f"vaultd_{name}_total") or 0.0 for name in COUNTED]


async def test_what_nobody_uses_goes_and_its_space_comes_back(collected: Collected) -> None:
    vault, before = collected.site.vault, counted()
    used_before = vault.store.statistics().record_bytes
    with structlog.testing.capture_logs() as told:
        await collect_once(vault)
    state = vault.collections.state()
    assert (state.number, state.phase, state.problem, state.is_trial) == (1, "ended", "", False)
    assert (state.keyrings_done, state.keyrings_left, state.records_dropped) == (1, 0, 6)
    assert state.containers_moved == 1
    given_back = used_before - vault.store.statistics().record_bytes
    assert 12 * MIB < given_back <= state.bytes_given_back < given_back + 4096  # padding of what was moved
    assert not list(collected.site.config.directory.glob("disk-*/containers/*/000000000001.container"))
    after = [one - other for one, other in zip(counted(), before, strict=True)]
    assert after == [1, 6, state.bytes_dropped, 1, state.bytes_given_back]
    assert [one["event"] for one in told] == ["collected"]
    assert collected.are_there(collected.used[2]) == {True}
    await collect_once(vault)
    assert vault.collections.state().records_dropped == vault.collections.state().containers_moved == 0


async def test_who_asks_late_is_told_of_the_one_that_he_asked_for(collected: Collected) -> None:
    vault = collected.site.vault
    number = vault.collections.ask(is_trial=False)
    for _ in range(3):
        await collect_once(vault)
    assert (number, vault.collections.state(number).records_dropped, vault.collections.state().number) == (1, 6, 3)
    assert vault.collections.state(99).number == vault.collections.state(0).number == 3


async def test_a_trial_says_what_would_be_dropped_and_drops_nothing(collected: Collected) -> None:
    vault = collected.site.vault
    number = vault.collections.ask(is_trial=True)
    await collect_once(vault)
    tried = vault.collections.state()
    assert (tried.number, tried.is_trial, tried.containers, tried.containers_moved) == (number, True, 1, 0)
    assert collected.are_there(collected.used[1]) == {True}
    await collect_once(vault)
    done = vault.collections.state()
    assert (done.records_dropped, done.bytes_dropped) == (tried.records_dropped, tried.bytes_dropped) != (0, 0)


async def test_nothing_is_dropped_while_the_clock_is_doubted(collected: Collected) -> None:
    vault = collected.site.vault
    clock_doubt.doubt(vault, 86_400)
    await collect_once(vault)
    assert "clock accept" in vault.collections.state().problem
    assert collected.are_there(collected.used[1]) == {True}
    clock_doubt.accept(vault, collected.site.operator)
    await collect_once(vault)
    assert vault.collections.state().records_dropped == 6


async def test_nothing_is_dropped_while_a_disk_is_away(collected: Collected) -> None:
    vault = collected.site.vault
    path = collected.site.config.disks[1]
    path.rename(path.with_name("away"))
    vault.store.look_after_disks()
    await collect_once(vault)
    assert "offline" in vault.collections.state().problem
    assert collected.are_there(collected.used[1]) == {True}
    path.with_name("away").rename(path)


async def test_what_is_kept_beside_is_looked_for_once_a_pass(
    collected: Collected, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each look lists every directory of containers."""
    other = make_collected(collected.site, collected.owner, "desk")
    other.run(other.chunk())
    looks: list[None] = []

    def has_kept(*_: object) -> bool:
        looks.append(None)
        return False

    monkeypatch.setattr("vaultd.store.housekeeping.has_kept", has_kept)
    await collect_once(collected.site.vault)
    assert collected.site.vault.collections.state().keyrings_done == 2
    assert len(looks) == 1


async def test_a_keyring_that_is_left_is_told(collected: Collected) -> None:
    collected.begin()
    collected.site.crash()
    with structlog.testing.capture_logs() as told:
        await collect_once(collected.site.vault)
    state = collected.site.vault.collections.state()
    assert (state.keyrings_left, state.records_dropped, state.problem) == (1, 0, "")
    assert state.left == "a run from before the start may go on"
    assert told[0]["event"] == "keyring not collected"


async def test_a_keyring_that_fails_takes_no_others_turn(
    collected: Collected, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = make_collected(collected.site, collected.owner, "desk")
    other.run(other.chunk())
    other.run(other.chunk())
    other.purge(1)
    mark = KeyringCollection.mark

    def marked(one: KeyringCollection) -> Iterator[None]:
        yield from mark(one)
        if one.keyring_id == other.keyring_id:
            raise FormatError("an entry that is too large")

    monkeypatch.setattr(KeyringCollection, "mark", marked)
    await collect_once(collected.site.vault)
    state = collected.site.vault.collections.state()
    assert (state.keyrings_done, state.keyrings_left, state.left) == (2, 1, "an entry that is too large")
    assert (state.records_dropped, state.containers_moved) == (6, 1)


async def test_nothing_is_moved_where_not_all_rows_were_counted(
    collected: Collected, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is in use would look dead, and all of it be copied; what is dead goes all the same."""
    other = make_collected(collected.site, collected.owner, "desk")
    other.run(other.chunk())
    sweep = KeyringCollection.sweep

    def swept(one: KeyringCollection) -> Iterator[list[StoredRow]]:
        if one.keyring_id == other.keyring_id:
            raise FormatError("a row that cannot be read")
        yield from sweep(one)

    monkeypatch.setattr(KeyringCollection, "sweep", swept)
    await collect_once(collected.site.vault)
    state = collected.site.vault.collections.state()
    assert (state.keyrings_done, state.keyrings_left, state.left) == (2, 1, "a row that cannot be read")
    assert (state.records_dropped, state.containers, state.containers_moved) == (6, 0, 0)
    assert other.are_there(other.used[1]) == {True}


async def test_a_container_stays_where_not_all_of_it_was_moved(
    collected: Collected, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Housekeeping, "move", lambda *_: 0)
    await collect_once(collected.site.vault)
    state = collected.site.vault.collections.state()
    assert (state.records_dropped, state.containers_moved) == (6, 0)
    assert list(collected.site.config.directory.glob("disk-*/containers/*/000000000001.container"))
    assert collected.are_there(collected.used[2]) == {True}


async def test_moves_that_were_planned_go_on_after_a_start(
    collected: Collected, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(Exception):
        pass

    async def killed(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr("vaultd.maintenance.compaction.Compaction.move", killed)
        with pytest.raises(Killed):
            await collect_once(collected.site.vault)
    collected.site.crash()
    assert collected.site.vault.store.house.planned() == [1]
    await resume_moves(collected.site.vault)
    assert collected.site.vault.store.house.planned() == []
    assert not list(collected.site.config.directory.glob("disk-*/containers/*/000000000001.container"))
    assert collected.are_there(collected.used[2]) == {True}


async def test_what_is_asked_for_begins_soon_and_in_order(
    collected: Collected, monkeypatch: pytest.MonkeyPatch, autojump_clock: object
) -> None:
    done: list[tuple[bool, bool]] = []
    began = trio.current_time()

    async def once(_: object) -> None:
        is_soon = trio.current_time() - began < 60
        done.append((collected.site.vault.collections.begin(0).is_trial, is_soon))
        if len(done) == 3:
            scope.cancel()

    async def resumed(_: object) -> None:
        pass

    async def failed(error: Exception) -> None:
        raise error

    monkeypatch.setattr(collection, "collect_once", once)
    monkeypatch.setattr(collection, "resume_moves", resumed)
    book = collected.site.vault.collections
    assert [book.ask(is_trial=one) for one in (True, False, True)] == [1, 2, 1]
    with trio.CancelScope() as scope:
        await collection.keep_collecting(collected.site.vault, failed)
    assert done == [(True, True), (False, True), (False, False)]  # the third by itself, after six hours


async def test_a_container_stays_while_the_index_may_lack_what_lies_in_it(collected: Collected) -> None:
    """The record is there, the row that leads to it is lost: nothing may take the record away."""
    site, kept = collected.site, next(iter(collected.used[1] & collected.used[2]))
    close_vault(site.vault)
    with lmdb.open(str(site.config.directory / "index"), max_dbs=8) as index:
        rows = index.open_db(b"records")
        with index.begin(write=True, db=rows) as transaction:
            (key,) = [key for key, _ in transaction.cursor() if key.endswith(kept)]
            assert transaction.delete(key)
    site.vault = open_vault(site.config, site.clock, SystemDoor())
    await collect_once(site.vault)
    state = site.vault.collections.state()
    assert (state.records_dropped, state.containers, state.containers_moved, state.keyrings_left) == (6, 0, 0, 1)
    close_vault(site.vault)
    shutil.rmtree(site.config.directory / "index")
    site.vault = open_vault(site.config, site.clock, SystemDoor())
    assert collected.are_there(collected.used[2]) == {True}
