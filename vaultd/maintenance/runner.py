"""Starts the background duties and keeps them until it is cancelled."""

from collections.abc import Callable, Collection

import trio

from vaultd.maintenance.checkpoint import keep_checkpoints
from vaultd.maintenance.clock_watch import ClockWatch, watch_clock
from vaultd.maintenance.collection import keep_collecting
from vaultd.maintenance.damaged_safesets import Failed, watch_damage
from vaultd.maintenance.disks import watch_disks
from vaultd.maintenance.expiry import expire_safesets
from vaultd.maintenance.loop_lag import watch_loop_lag
from vaultd.maintenance.restore_orders import expire_orders
from vaultd.maintenance.scrub import scrub_containers
from vaultd.operations.vault import Vault


async def run_maintenance(
    vault: Vault, watch: ClockWatch, failed: Failed, heard: Callable[[], Collection[bytes]]
) -> None:
    """`failed` is told what a duty that writes ran into, and stops the daemon where the store was; `heard`: the ordered
    restores that agents tell of.
    """
    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch_loop_lag)
        nursery.start_soon(watch_clock, watch, failed)
        nursery.start_soon(keep_checkpoints, vault)
        nursery.start_soon(watch_disks, vault)
        nursery.start_soon(watch_damage, vault, failed)
        nursery.start_soon(expire_orders, vault, heard, failed)
        nursery.start_soon(expire_safesets, vault, watch, failed)
        nursery.start_soon(keep_collecting, vault, failed)
        nursery.start_soon(scrub_containers, vault, failed)
