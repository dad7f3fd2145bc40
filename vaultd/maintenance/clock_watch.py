"""Raises an alarm when the vault's clock jumps. Nothing else happens then: times decide no order and remove nothing."""

import trio

from vaultd import metrics
from vaultd.clock import Clock
from vaultd.logs import log
from vaultd.operations.vault import Vault
from vaultd.policy.clock_jump import Look, jump_between, jump_since_entry

LOOK_EVERY_SECONDS = 10


async def watch_clock(clock: Clock) -> None:
    before = _look(clock)
    while True:
        await trio.sleep(LOOK_EVERY_SECONDS)
        now = _look(clock)
        _tell(jump_between(before, now))
        before = now


def tell_jump_at_start(vault: Vault) -> None:
    """The last entry of the journal before the start tells what the clock said before the stop."""
    if vault.last_entry_ns is not None:
        _tell(jump_since_entry(vault.last_entry_ns, vault.clock.now_ns()))


def _look(clock: Clock) -> Look:
    return Look(clock.now_ns(), clock.monotonic_seconds())


def _tell(jump_seconds: int) -> None:
    if jump_seconds:
        metrics.CLOCK_JUMPS.inc()
        log.error("clock jumped", seconds=jump_seconds, problem="set the clock of this machine and keep it with NTP")
