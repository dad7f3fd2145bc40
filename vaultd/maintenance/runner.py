"""Starts the background duties and keeps them until it is cancelled."""

import trio

from vaultd.maintenance.checkpoint import keep_checkpoints
from vaultd.maintenance.clock_watch import watch_clock
from vaultd.maintenance.damaged_safesets import Failed, watch_damage
from vaultd.maintenance.disks import watch_disks
from vaultd.maintenance.loop_lag import watch_loop_lag
from vaultd.operations.vault import Vault


async def run_maintenance(vault: Vault, failed: Failed) -> None:
    """`failed` is told what a duty that writes ran into, and stops the daemon where the store was."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch_loop_lag)
        nursery.start_soon(watch_clock, vault.clock)
        nursery.start_soon(keep_checkpoints, vault)
        nursery.start_soon(watch_disks, vault)
        nursery.start_soon(watch_damage, vault, failed)
