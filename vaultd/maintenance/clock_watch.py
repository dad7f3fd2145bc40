"""Raises an alarm when the vault's clock jumps, and has nothing expire until an operator says that it is right. Times
decide no order.
"""

import trio

from vaultd import metrics, offload
from vaultd.logs import log
from vaultd.maintenance.damaged_safesets import Failed
from vaultd.operations import clock_doubt
from vaultd.operations.vault import Vault
from vaultd.policy.clock_jump import Look, jump_at_start, jump_between

LOOK_EVERY_SECONDS = 10


async def watch_clock(vault: Vault, failed: Failed) -> None:
    """`failed` stops the daemon where the store was."""
    before = look_at(vault)
    while True:
        await trio.sleep(LOOK_EVERY_SECONDS)
        now = look_at(vault)
        jump_seconds, before = jump_between(before, now), now
        if jump_seconds:
            _tell(jump_seconds)
            try:
                await offload.write(clock_doubt.doubt, vault, jump_seconds)
            except Exception as error:  # what expires compares the clocks itself
                await failed(error)


async def doubt_at_start(vault: Vault) -> None:
    """The last entry of the journal before the start tells what the clock said before the stop."""
    jump_seconds = 0 if vault.last_entry_ns is None else jump_at_start(vault.last_entry_ns, vault.started_ns)
    if jump_seconds:
        _tell(jump_seconds)
        await offload.write(clock_doubt.doubt, vault, jump_seconds)


def look_at(vault: Vault) -> Look:
    return Look(vault.clock.now_ns(), vault.clock.monotonic_seconds())


def _tell(jump_seconds: int) -> None:
    metrics.CLOCK_JUMPS.inc()
    problem = "set the clock of this machine and keep it with NTP; `vaultctl clock accept` says that it is right"
    log.error("clock jumped", seconds=jump_seconds, problem=problem)
