"""A keyring of which somebody asked for a record that the vault does not have is looked at, at most once an hour."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.vaultd.maintenance.history import (
    BOTH_DAMAGED,
    BOTH_WHOLE,
    FIRST_DAMAGED,
    IN_DOUBT,
    History,
    Walked,
    away,
    go_to_disk,
)
from tests.vaultd.operations.sealing import id_of
from tests.vaultd.operations.small_site import Site, make_site
from vaultd.clock import FixedClock
from vaultd.maintenance.damaged_safesets import DamageWatch
from vaultd.operations import safesets, status
from vaultd.operations.fetch import FetchStream
from vaultd.operations.vault import close_vault, open_vault
from vaultd.store import damage_looks
from vaultd.store.disk_door import SystemDoor

NEVER_STORED = b"never" + bytes(27)
HOUR_SECONDS = 3600


class Time:
    """Of the vault, and in the place of the module `time`."""

    def __init__(self, clock: FixedClock) -> None:
        self._clock = clock

    def monotonic(self) -> float:
        return self._clock.seconds

    def passes(self, seconds: float) -> None:
        self._clock.seconds += seconds


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    site = make_site(tmp_path, disks=3)
    yield site
    close_vault(site.vault)


@pytest.fixture
def time(site: Site, monkeypatch: pytest.MonkeyPatch) -> Time:
    time = Time(site.clock)
    monkeypatch.setattr(damage_looks, "time", time)
    return time


def ask(history: History, id_: bytes = NEVER_STORED) -> None:
    """For what the vault does not have."""
    vault, identity = history.site.vault, history.job.agent.identity
    ticket = vault.tickets.issue(identity, history.job.sealer.job_id, history.job.sealer.keyring_id)
    assert FetchStream(vault, vault.tickets.find(identity, ticket)).fetch([id_], 1 << 20).records == ["missing"]


def is_any_in_doubt(history: History) -> bool:
    return status.vault_status(history.site.vault, "1", 0).safesets_in_doubt


def safesets_of(history: History) -> Walked:
    return [(history.job.sealer.job_id, 1), (history.job.sealer.job_id, 2)]


def without_disk(site: Site, number: int, meanwhile: Callable[[], object] = lambda: None) -> None:
    close_vault(site.vault)
    path, waiting = away(site, number)
    path.rename(waiting)
    path.mkdir()
    meanwhile()
    site.vault = open_vault(site.config, site.clock, SystemDoor())


async def test_a_row_of_the_index_that_is_gone_is_met_by_a_restore(history: History) -> None:
    history.remove_index_row("old")
    ask(history, id_of(history.records["old"]))
    assert history.states() == IN_DOUBT
    await history.look()
    assert history.states() == FIRST_DAMAGED


async def test_a_row_of_the_index_that_is_gone_is_met_by_a_run(history: History) -> None:
    history.remove_index_row("shared")
    page = safesets.list_page(history.site.vault, history.owner, "laptop", "home", None, 100)
    assert not history.site.begin(history.job, base=page.safesets[1].root_hash).base_known
    await history.look()
    assert history.states() == BOTH_DAMAGED


async def test_who_asks_again_within_the_hour_keeps_nothing_in_doubt(
    history: History, time: Time, walked: Walked
) -> None:
    ask(history)
    assert (history.states(), is_any_in_doubt(history)) == (IN_DOUBT, True)
    await history.look()
    assert (history.states(), is_any_in_doubt(history), walked) == (BOTH_WHOLE, False, safesets_of(history))
    for _ in range(3):
        time.passes(HOUR_SECONDS / 4)
        ask(history)
        assert (history.states(), is_any_in_doubt(history)) == (BOTH_WHOLE, False)
        await history.look()
        assert walked == safesets_of(history)


async def test_what_was_asked_within_the_hour_is_looked_for_after_it(
    history: History, time: Time, walked: Walked
) -> None:
    ask(history)
    await history.look()
    ask(history)
    time.passes(HOUR_SECONDS)
    assert (history.states(), is_any_in_doubt(history)) == (IN_DOUBT, True)
    await history.look()
    assert (history.states(), walked) == (BOTH_WHOLE, safesets_of(history) * 2)


async def test_the_hour_of_one_keyring_hides_nothing_of_another(site: Site) -> None:
    owner = site.administrator()
    history, other = History(site, owner), History(site, owner, "server")
    ask(history)
    await history.look()
    ask(other)
    assert (history.states(), other.states()) == (BOTH_WHOLE, IN_DOUBT)


async def test_damage_that_is_met_within_the_hour_is_looked_for_at_once(history: History) -> None:
    ask(history)
    await history.look()
    ask(history)
    history.meet("old")
    assert history.states() == IN_DOUBT
    await history.look()
    assert history.states() == FIRST_DAMAGED


async def test_a_restart_forgets_what_was_only_suspected(history: History) -> None:
    ask(history)
    history.site.reopen()
    assert history.states() == BOTH_WHOLE
    ask(history)
    assert history.states() == IN_DOUBT


async def test_a_look_that_was_cut_is_made_again_once_an_hour_whatever_is_asked(
    site: Site, time: Time, walked: Walked, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it was about stays in doubt: it could not be looked at."""
    history = History(site, site.administrator(), before_others=lambda: go_to_disk(monkeypatch, 2))
    without_disk(site, 2)
    watch = DamageWatch(site.vault)
    for _ in range(3):
        ask(history)
        await watch.look_once()
        assert history.states() == IN_DOUBT
        time.passes(HOUR_SECONDS / 4)
    assert walked == safesets_of(history)
    time.passes(HOUR_SECONDS / 4)
    await watch.look_once()
    assert walked == safesets_of(history) * 2


async def test_beside_a_look_at_everything_that_was_cut_only_what_was_asked_for_is_walked(
    site: Site, time: Time, walked: Walked, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = site.administrator()
    go_to_disk(monkeypatch, 0)
    gone = History(site, owner, "desktop")
    go_to_disk(monkeypatch, 1)
    asked = History(site, owner)
    go_to_disk(monkeypatch, 2)
    out_of_reach = History(site, owner, "server")
    (container,) = (site.config.disks[0] / "containers").glob("*/*")
    without_disk(site, 2, container.unlink)
    watch = DamageWatch(site.vault)
    await watch.look_once()
    assert sorted(walked) == sorted(safesets_of(gone) + safesets_of(asked) + safesets_of(out_of_reach))
    walked.clear()
    for _ in range(3):
        ask(asked)
        await watch.look_once()
        assert (walked, asked.states()) == (safesets_of(asked), IN_DOUBT)
        time.passes(HOUR_SECONDS / 4)
