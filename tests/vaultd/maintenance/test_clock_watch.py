"""A clock that jumps is told once for each jump, while the vault runs and at its start."""

from __future__ import annotations

from pathlib import Path

import pytest
import structlog.testing
import trio
from trio.testing import MockClock

from tests.vaultd.operations.small_site import Site, make_site
from vaultd import metrics
from vaultd.clock import FixedClock
from vaultd.maintenance.clock_watch import LOOK_EVERY_SECONDS, tell_jump_at_start, watch_clock
from vaultd.operations.vault import close_vault, open_vault
from vaultd.store.disk_door import SystemDoor

TEN_YEARS_SECONDS = 10 * 365 * 24 * 3600
TEN_YEARS_NS = TEN_YEARS_SECONDS * 1_000_000_000


def jumps() -> float:
    return metrics.REGISTRY.get_sample_value("vaultd_clock_jumps_total") or 0.0


@pytest.fixture
def autojump_clock() -> MockClock:
    return MockClock(autojump_threshold=0)


@pytest.mark.parametrize("sign", [1, -1])
async def test_a_jump_while_the_vault_runs_is_told_once(autojump_clock: MockClock, sign: int) -> None:
    clock, before = FixedClock(), jumps()

    async def next_look() -> None:
        clock.advance(LOOK_EVERY_SECONDS)
        await trio.sleep(LOOK_EVERY_SECONDS)

    with structlog.testing.capture_logs() as logs:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(watch_clock, clock)
            await trio.sleep(LOOK_EVERY_SECONDS / 2)
            await next_look()
            assert jumps() == before
            clock.time_ns += sign * TEN_YEARS_NS
            await next_look()
            await next_look()
            assert jumps() == before + 1
            nursery.cancel_scope.cancel()
    assert [(line["event"], line["seconds"]) for line in logs] == [("clock jumped", sign * TEN_YEARS_SECONDS)]


def reopened(site: Site, passed_ns: int) -> float:
    """How many jumps a start tells that much later by the clock."""
    close_vault(site.vault)
    site.clock.time_ns += passed_ns
    site.vault = open_vault(site.config, site.clock, SystemDoor())
    before = jumps()
    tell_jump_at_start(site.vault)
    return jumps() - before


def test_a_start_before_the_last_entry_is_told_until_there_is_another(tmp_path: Path) -> None:
    site = make_site(tmp_path)
    site.administrator("acme")
    assert reopened(site, TEN_YEARS_NS) == 0
    site.administrator("made while the clock was wrong")
    assert reopened(site, -TEN_YEARS_NS) == 1
    assert reopened(site, 0) == 1
    site.administrator("made afterwards")
    assert reopened(site, 0) == 0
    close_vault(site.vault)
