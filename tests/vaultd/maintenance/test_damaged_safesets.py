"""Safesets that use what the vault met as damaged or lost are named, for as long as that is so, and no others."""

import shutil
from pathlib import Path

import pytest

from tests.vaultd.maintenance.history import (
    BOTH_DAMAGED,
    BOTH_WHOLE,
    FIRST_DAMAGED,
    IN_DOUBT,
    History,
    Told,
    away,
    go_to_disk,
)
from tests.vaultd.operations.small_site import Site, make_site
from vaultd.operations import dead_keys, disks, distrust, status
from vaultd.operations.distrust import Suspicion
from vaultd.operations.rebuild import rebuild_vault
from vaultd.operations.vault import close_vault, open_vault
from vaultd.store.disk_door import SystemDoor
from vaultd.store.index.looks import IndexLooks

OF_THE_FIRST = ["old", "old block", "old companion", "old top block", "old top companion", "old payload"]


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


async def test_what_was_replaced_is_not_damaged(site: Site) -> None:
    """A provisional safeset that nobody can restore any more."""
    history = History(site, site.administrator(), first_is_complete=False)
    history.meet("old")
    await history.look()
    assert (history.states(), status.vault_status(site.vault, "1", 0).safesets_damaged) == ({1: "damaged"}, 1)
    history.add_second()
    await history.look()
    assert (history.states(), status.vault_status(site.vault, "1", 0).safesets_damaged) == ({2: "whole"}, 0)
