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


class ClockWatch:
    """Compares each look at the clocks with the one before, whoever looks: a jump is told and doubted once, and one
    that an operator accepted is not found again.

    The last entry of the journal before the start tells what the clock said before the stop.
    """

    def __init__(self, vault: Vault) -> None:
        self._vault = vault
        self._before = self._look()
        self._unwritten = 0
        if vault.last_entry_ns is not None:
            self._meet(jump_at_start(vault.last_entry_ns, vault.started_ns, vault.config.undelete_seconds))

    async def look(self) -> Look:
        """The doubt about a jump is durable when this returns; where it raises, it is tried again by the next look."""
        now = self._look()
        before, self._before = self._before, now
        self._meet(jump_between(before, now))
        if jump_seconds := self._unwritten:
            await offload.write(clock_doubt.doubt, self._vault, jump_seconds)
            if self._unwritten == jump_seconds:
                self._unwritten = 0
        return now

    def _look(self) -> Look:
        return Look(self._vault.clock.now_ns(), self._vault.clock.monotonic_seconds())

    def _meet(self, jump_seconds: int) -> None:
        if not jump_seconds:
            return
        self._unwritten = jump_seconds
        metrics.CLOCK_JUMPS.inc()
        problem = "set the clock of this machine and keep it with NTP; `vaultctl clock accept` says that it is right"
        log.error("clock jumped", seconds=jump_seconds, problem=problem)


async def watch_clock(watch: ClockWatch, failed: Failed) -> None:
    """`failed` stops the daemon where the store was."""
    while True:
        try:
            await watch.look()
        except Exception as error:  # what expires looks itself
            await failed(error)
        await trio.sleep(LOOK_EVERY_SECONDS)
