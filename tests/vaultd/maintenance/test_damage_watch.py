"""The watch: what it walks when damage was met, what it tells, and what it does when it fails."""

from collections.abc import Iterator

import pytest
import trio

from tests.vaultd.maintenance.history import BOTH_DAMAGED, FIRST_DAMAGED, IN_DOUBT, History, Told, Walked
from vaultd import metrics
from vaultd.maintenance import damaged_safesets
from vaultd.maintenance.damaged_safesets import DamageWatch
from vaultd.operations import status
from vaultd.operations.hurt_walk import HurtWalk
from vaultd.operations.vault import Vault
from vaultd.records import Safeset


async def test_damage_that_is_met_while_it_is_looked_is_looked_for_again(
    history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = HurtWalk.run

    def meeting(walk: HurtWalk, safeset: Safeset) -> Iterator[None]:
        yield from run(walk, safeset)
        if safeset.sequence == 2 and history.is_readable("new"):
            history.meet("new")
            history.site.vault.store.commit()

    monkeypatch.setattr(HurtWalk, "run", meeting)
    history.meet("old")
    await history.look()
    assert history.states() == {1: "damaged", 2: "in doubt"}
    await history.look()
    assert history.states() == BOTH_DAMAGED


async def test_only_safesets_of_the_keyring_are_walked_and_once(history: History, walked: Walked) -> None:
    other = History(history.site, history.owner, "server")
    history.meet("old")
    await history.look()
    assert walked == [(history.job.sealer.job_id, 1), (history.job.sealer.job_id, 2)]
    await history.look()
    other.meet("old")
    await other.look()
    assert len(walked) == 4
    assert (history.states(), other.states()) == (FIRST_DAMAGED, FIRST_DAMAGED)


async def test_the_operator_is_told(history: History) -> None:
    def told() -> tuple[int, bool]:
        found = status.vault_status(history.site.vault, "1", 0)
        return found.safesets_damaged, found.safesets_in_doubt

    assert told() == (0, False)
    history.meet("old")
    assert told() == (0, True)
    await history.look()
    assert told() == (1, False)
    assert metrics.REGISTRY.get_sample_value("vaultd_safesets_damaged") == 1


async def test_a_look_that_fails_is_told_and_the_daemon_asked(
    history: History, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full(Exception):
        pass

    def full(_vault: Vault) -> None:
        raise Full("no room")

    asked: list[Exception] = []

    async def failed(error: Exception) -> None:
        asked.append(error)
        nursery.cancel_scope.cancel()

    monkeypatch.setattr(damaged_safesets.ledger, "write", full)
    history.meet("old")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(damaged_safesets.watch_damage, history.site.vault, failed)
    assert [str(error) for error in asked] == ["no room"]
    assert told.events == [("damaged safesets not looked for", "", "Full: no room")]
    assert history.states() == IN_DOUBT


async def test_the_watch_looks_by_itself(history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    looked = trio.Event()
    look_once = DamageWatch.look_once

    async def look(watch: DamageWatch) -> None:
        await look_once(watch)
        if history.states() == FIRST_DAMAGED:
            looked.set()
        elif history.is_readable("old"):
            history.meet("old")

    async def failed(error: Exception) -> None:
        raise error

    monkeypatch.setattr(DamageWatch, "look_once", look)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(damaged_safesets.watch_damage, history.site.vault, failed)
        await looked.wait()
        nursery.cancel_scope.cancel()


async def test_what_comes_to_be_due_is_looked_for_soon(history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two looks are an hour apart here."""
    looked, again = trio.Event(), trio.Event()
    look_once = DamageWatch.look_once

    async def look(watch: DamageWatch) -> None:
        await look_once(watch)
        (again if looked.is_set() else looked).set()

    async def failed(error: Exception) -> None:
        raise error

    monkeypatch.setattr(damaged_safesets, "LOOK_SECONDS", 3600)
    monkeypatch.setattr(DamageWatch, "look_once", look)
    history.meet("old")
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(damaged_safesets.watch_damage, history.site.vault, failed)
            await looked.wait()
            await trio.sleep(2 * damaged_safesets.SOON_SECONDS)  # the look is over, and nothing is due
            history.site.vault.store.looks.suspect(history.job.sealer.keyring_id)
            await again.wait()
            nursery.cancel_scope.cancel()
