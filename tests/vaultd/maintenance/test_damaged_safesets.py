"""Safesets that use what the vault met as damaged or lost are named, for as long as that is so, and no others."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio

from tests.vaultd.maintenance.history import History, Told, away, go_to_disk
from tests.vaultd.operations.sealing import id_of
from tests.vaultd.operations.small_site import Site, make_site
from vaultd import metrics
from vaultd.maintenance import damaged_safesets
from vaultd.maintenance.damaged_safesets import DamageWatch
from vaultd.operations import dead_keys, disks, distrust, safesets, status
from vaultd.operations.distrust import Suspicion
from vaultd.operations.fetch import FetchStream
from vaultd.operations.hurt_walk import HurtWalk
from vaultd.operations.rebuild import rebuild_vault
from vaultd.operations.vault import Vault, close_vault, open_vault
from vaultd.records import Safeset
from vaultd.store.disk_door import SystemDoor
from vaultd.store.index.looks import IndexLooks

BOTH_WHOLE = {1: "whole", 2: "whole"}
FIRST_DAMAGED = {1: "damaged", 2: "whole"}
BOTH_DAMAGED = {1: "damaged", 2: "damaged"}
IN_DOUBT = {1: "in doubt", 2: "in doubt"}
OF_THE_FIRST = ["old", "old block", "old companion", "old top block", "old top companion", "old payload"]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    site = make_site(tmp_path)
    yield site
    site.vault.catalog.close()
    site.vault.store.close()
    site.vault.lock.close()


@pytest.fixture
def history(site: Site) -> History:
    return History(site, site.administrator())


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Told:
    told = Told()
    monkeypatch.setattr(damaged_safesets, "log", told)
    return told


def restart(site: Site, how: str = "in order") -> None:
    if how == "killed":
        site.crash()
    else:
        site.reopen()


def stop(site: Site) -> None:
    close_vault(site.vault)


def rebuild(site: Site, how: str = "in order") -> None:
    if how == "killed":
        site.vault.catalog.close()
        site.vault.store.close()
        site.vault.lock.close()
    else:
        stop(site)
    rebuild_vault(site.config, site.clock, SystemDoor(), lambda *_: None, index_only=False)
    start(site)


def start(site: Site) -> None:
    site.vault = open_vault(site.config, site.clock, SystemDoor())


async def test_a_new_vault_has_nothing_to_look_for(history: History) -> None:
    assert history.states() == BOTH_WHOLE
    await history.look()
    assert history.states() == BOTH_WHOLE


@pytest.mark.parametrize("name", OF_THE_FIRST)
async def test_whatever_a_safeset_uses_makes_it_damaged_and_no_other(history: History, name: str) -> None:
    history.meet(name)
    await history.look()
    assert history.states() == FIRST_DAMAGED


@pytest.mark.parametrize("name", ["shared", "shared block", "shared companion"])
async def test_what_both_use_makes_both_damaged(history: History, name: str) -> None:
    history.meet(name)
    await history.look()
    assert history.states() == BOTH_DAMAGED


async def test_a_companion_that_nobody_read_yet_is_met_by_the_look(history: History) -> None:
    """What lies below it cannot be told: it counts as damaged."""
    history.hurt("old companion")
    history.meet("new")
    await history.look()
    assert history.states() == BOTH_DAMAGED


@pytest.mark.parametrize("how", ["in order", "killed"])
async def test_it_is_known_after_a_restart(history: History, how: str) -> None:
    history.meet("old")
    await history.look()
    restart(history.site, how)
    assert history.states() == FIRST_DAMAGED


@pytest.mark.parametrize("how", ["in order", "killed"])
async def test_none_is_shown_as_whole_before_it_was_looked_at(history: History, how: str) -> None:
    history.meet("old")
    assert history.states() == IN_DOUBT
    history.site.vault.store.commit()
    restart(history.site, how)
    assert history.states() == IN_DOUBT
    await history.look()
    assert history.states() == FIRST_DAMAGED


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


async def test_a_commit_beside_a_list_hides_no_damage(history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    """It makes rows of the index of what readers noted, after the list has looked for such rows."""
    looked = IndexLooks.due

    def due(looks: IndexLooks) -> dict[bytes, bytes]:
        found = looked(looks)
        history.site.vault.store.commit()
        return found

    history.meet("old")
    with monkeypatch.context() as once:
        once.setattr(IndexLooks, "due", due)
        assert history.states() == IN_DOUBT
    assert history.states() == IN_DOUBT


async def test_it_ends_when_the_record_is_stored_again(history: History, told: Told) -> None:
    history.meet("old")
    await history.look()
    await history.look()
    history.send_again("old")
    await history.look()
    assert history.states() == BOTH_WHOLE
    await history.look()
    place = "account acme, computer laptop, job home"
    assert told.events == [
        ("safesets damaged", place, "what they use is damaged or lost: safesets 1"),
        ("safesets not damaged any more", place, "safesets 1"),
    ]
    restart(history.site)
    assert history.states() == BOTH_WHOLE


async def test_it_does_not_end_while_another_record_is_lost(history: History) -> None:
    history.meet("old")
    history.meet("shared")
    await history.look()
    assert history.states() == BOTH_DAMAGED
    history.send_again("old")
    await history.look()
    assert history.states() == BOTH_DAMAGED


@pytest.mark.parametrize("how", ["in order", "killed"])
async def test_the_rebuilt_vault_knows_it(history: History, how: str) -> None:
    history.meet("old")
    await history.look()
    rebuild(history.site, how)
    assert history.states() == {1: "damaged", 2: "in doubt"}
    await history.look()
    assert history.states() == FIRST_DAMAGED


async def test_what_a_new_index_lacks_is_lost(history: History) -> None:
    """Nobody met it before: the rebuild found no record there."""
    history.hurt("old")
    rebuild(history.site)
    assert history.states() == IN_DOUBT
    await history.look()
    assert history.states() == FIRST_DAMAGED


async def test_a_container_that_is_gone(history: History) -> None:
    stop(history.site)
    (path,) = history.site.config.directory.glob("disk-*/containers/*/*")
    path.rename(history.site.config.directory / "kept")
    start(history.site)
    assert history.states() == IN_DOUBT
    await history.look()
    assert history.states() == BOTH_DAMAGED
    stop(history.site)
    (history.site.config.directory / "kept").rename(path)
    start(history.site)
    await history.look()
    assert history.states() == BOTH_WHOLE


async def test_a_lost_disk_and_one_that_was_not_lost_after_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = make_site(tmp_path, disks=3)
    owner = site.administrator()
    go_to_disk(monkeypatch, 0)
    untouched = History(site, owner, "server")
    go_to_disk(monkeypatch, 2)
    history = History(site, owner)
    stop(site)
    path, waiting = away(site, 2)
    path.rename(waiting)
    path.mkdir()
    start(site)
    await history.look()
    assert history.states() == BOTH_WHOLE  # offline is no damage
    disks.declare_lost(site.vault, site.operator, "2")
    assert history.states() == IN_DOUBT
    await history.look()
    assert (history.states(), untouched.states()) == (BOTH_DAMAGED, BOTH_WHOLE)
    disks.take_back(site.vault, site.operator, "2")
    await history.look()
    assert history.states() == BOTH_DAMAGED  # what they use is out of reach: nothing says that it is whole
    stop(site)
    shutil.rmtree(path)
    waiting.rename(path)
    start(site)
    await history.look()
    assert (history.states(), untouched.states()) == (BOTH_WHOLE, BOTH_WHOLE)
    stop(site)


async def test_what_is_out_of_reach_stays_in_doubt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lists of what the safesets use are on a disk that is away, and something that they may use is damaged."""
    site = make_site(tmp_path, disks=3)
    history = History(
        site,
        site.administrator(),
        before_chunks=lambda: go_to_disk(monkeypatch, 0),
        before_others=lambda: go_to_disk(monkeypatch, 2),
    )
    stop(site)
    path, waiting = away(site, 2)
    path.rename(waiting)
    path.mkdir()
    start(site)
    history.meet("old")
    for _ in range(2):
        await history.look()
        assert history.states() == IN_DOUBT
    stop(site)
    shutil.rmtree(path)
    waiting.rename(path)
    start(site)
    await history.look()
    assert history.states() == FIRST_DAMAGED
    stop(site)


async def test_a_run_key_that_was_given_up_and_taken_back(history: History) -> None:
    identity, job_id = history.job.agent.identity, history.job.sealer.job_id
    dead_keys.give_up_keys(history.site.vault, identity, job_id, [history.first_key])
    assert history.states() == IN_DOUBT
    await history.look()
    assert history.states() == BOTH_DAMAGED
    dead_keys.take_back_keys(history.site.vault, identity, job_id, [history.first_key])
    await history.look()
    assert history.states() == BOTH_WHOLE


async def test_distrusted_runs_damage_nothing(history: History) -> None:
    distrust.distrust(history.site.vault, history.owner, Suspicion("laptop", 0))
    await history.look()
    assert history.states() == BOTH_WHOLE
    history.meet("old")
    await history.look()
    assert history.states() == FIRST_DAMAGED


async def test_a_row_of_the_index_that_is_gone_is_met_by_a_restore(history: History) -> None:
    history.remove_index_row("old")
    vault, identity = history.site.vault, history.job.agent.identity
    ticket = vault.tickets.issue(identity, history.job.sealer.job_id, history.job.sealer.keyring_id)
    stream = FetchStream(vault, vault.tickets.find(identity, ticket))
    assert stream.fetch([id_of(history.records["old"])], 1 << 20).records == ["missing"]
    assert history.states() == IN_DOUBT
    await history.look()
    assert history.states() == FIRST_DAMAGED


async def test_a_row_of_the_index_that_is_gone_is_met_by_a_run(history: History) -> None:
    history.remove_index_row("shared")
    page = safesets.list_page(history.site.vault, history.owner, "laptop", "home", None, 100)
    assert not history.site.begin(history.job, base=page.safesets[1].root_hash).base_known
    await history.look()
    assert history.states() == BOTH_DAMAGED


async def test_only_safesets_of_the_keyring_are_walked_and_once(
    history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = History(history.site, history.owner, "server")
    run, walked = HurtWalk.run, []

    def counted(walk: HurtWalk, safeset: Safeset) -> Iterator[None]:
        walked.append((safeset.job_id, safeset.sequence))
        yield from run(walk, safeset)

    monkeypatch.setattr(HurtWalk, "run", counted)
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


async def test_what_was_replaced_is_not_damaged(site: Site) -> None:
    """A provisional safeset that nobody can restore any more."""
    history = History(site, site.administrator(), first_is_complete=False)
    history.meet("old")
    await history.look()
    assert (history.states(), status.vault_status(site.vault, "1", 0).safesets_damaged) == ({1: "damaged"}, 1)
    history.add_second()
    await history.look()
    assert (history.states(), status.vault_status(site.vault, "1", 0).safesets_damaged) == ({2: "whole"}, 0)


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
