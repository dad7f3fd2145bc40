"""A clock that jumps is told once for each jump, while the vault runs and at its start."""

from __future__ import annotations

from pathlib import Path

import pytest
import structlog.testing
import trio
from trio.testing import MockClock

from tests.vaultd.operations.small_site import Site, make_site
from vaultd import metrics
from vaultd.errors import Conflict, NoSpace
from vaultd.maintenance.clock_watch import LOOK_EVERY_SECONDS, ClockWatch, watch_clock
from vaultd.operations import clock_doubt
from vaultd.operations.vault import close_vault, open_vault
from vaultd.store.disk_door import SystemDoor

SECOND = 1_000_000_000
TEN_YEARS_SECONDS = 10 * 365 * 24 * 3600
TEN_YEARS_NS = TEN_YEARS_SECONDS * 1_000_000_000


def jumps() -> float:
    return metrics.REGISTRY.get_sample_value("vaultd_clock_jumps_total") or 0.0


@pytest.fixture
def autojump_clock() -> MockClock:
    return MockClock(autojump_threshold=0)


@pytest.mark.parametrize("sign", [1, -1])
async def test_a_jump_while_the_vault_runs_is_told_once(autojump_clock: MockClock, tmp_path: Path, sign: int) -> None:
    site, before = make_site(tmp_path), jumps()

    async def next_look() -> None:
        site.clock.advance(LOOK_EVERY_SECONDS)
        await trio.sleep(LOOK_EVERY_SECONDS)

    with structlog.testing.capture_logs() as logs:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(watch_clock, ClockWatch(site.vault), nobody)
            await trio.sleep(LOOK_EVERY_SECONDS / 2)
            await next_look()
            assert (jumps(), clock_doubt.is_doubted(site.vault)) == (before, False)
            site.clock.time_ns += sign * TEN_YEARS_NS
            await next_look()
            with trio.fail_after(LOOK_EVERY_SECONDS):
                while not clock_doubt.is_doubted(site.vault):
                    await trio.lowlevel.checkpoint()
            await next_look()
            assert jumps() == before + 1
            nursery.cancel_scope.cancel()
    assert [(line["event"], line["seconds"]) for line in logs] == [("clock jumped", sign * TEN_YEARS_SECONDS)]
    close_vault(site.vault)


async def nobody(error: Exception) -> None:
    raise AssertionError from error


async def reopened(site: Site, passed_ns: int) -> float:
    """How many jumps a start tells that much later by the clock."""
    close_vault(site.vault)
    site.clock.time_ns += passed_ns
    site.vault = open_vault(site.config, site.clock, SystemDoor())
    before = jumps()
    await ClockWatch(site.vault).look()
    return jumps() - before


async def test_a_start_before_the_last_entry_is_told_and_doubted_until_an_operator_accepts(tmp_path: Path) -> None:
    site = make_site(tmp_path)
    site.administrator("acme")
    assert await reopened(site, 24 * 3600 * SECOND) == 0
    assert await reopened(site, -TEN_YEARS_NS) == 1
    assert await reopened(site, 0) == 0  # the doubt is an entry of the new time
    assert clock_doubt.is_doubted(site.vault)
    clock_doubt.accept(site.vault, site.operator)
    assert not clock_doubt.is_doubted(site.vault)
    with pytest.raises(Conflict, match="is not doubted"):
        clock_doubt.accept(site.vault, site.operator)
    close_vault(site.vault)


async def test_a_start_very_long_after_the_last_entry_is_doubted(tmp_path: Path) -> None:
    site = make_site(tmp_path)
    site.administrator("acme")
    assert await reopened(site, TEN_YEARS_NS) == 1
    assert clock_doubt.is_doubted(site.vault)
    close_vault(site.vault)


async def test_a_jump_that_was_accepted_is_not_found_again(tmp_path: Path) -> None:
    """By whoever looks next, minutes later."""
    site = make_site(tmp_path)
    watch, before = ClockWatch(site.vault), jumps()
    site.clock.time_ns += TEN_YEARS_NS
    await watch.look()
    clock_doubt.accept(site.vault, site.operator)
    site.clock.advance(300)
    await watch.look()
    assert (jumps(), clock_doubt.is_doubted(site.vault)) == (before + 1, False)
    close_vault(site.vault)


async def test_a_doubt_that_could_not_be_written_is_written_by_the_next_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = make_site(tmp_path)
    watch, before = ClockWatch(site.vault), jumps()
    site.clock.time_ns += TEN_YEARS_NS

    def full(*_: object) -> None:
        raise NoSpace("the vault has no room left")

    with monkeypatch.context() as patched:
        patched.setattr(clock_doubt, "doubt", full)
        with pytest.raises(NoSpace):
            await watch.look()
    assert not clock_doubt.is_doubted(site.vault)
    await watch.look()
    assert (jumps(), clock_doubt.is_doubted(site.vault)) == (before + 1, True)
    close_vault(site.vault)
