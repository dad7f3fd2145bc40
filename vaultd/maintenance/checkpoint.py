"""Writes the catalog to a checkpoint now and then, so that a lost one comes back from it and the journal after it."""

import time

import trio

from vaultd import metrics, offload
from vaultd.logs import log
from vaultd.operations.vault import Vault, write_checkpoint


async def keep_checkpoints(vault: Vault) -> None:
    while True:
        await trio.sleep(vault.config.checkpoint_every_seconds)
        await checkpoint_once(vault)


async def checkpoint_once(vault: Vault) -> None:
    """Only a lost catalog needs a checkpoint: one that fails is told and tried again later."""
    begin = time.monotonic()
    try:
        await offload.write(vault.catalog.make_room)
        await offload.read(write_checkpoint, vault)
    except Exception as error:  # of LMDB too; the journal holds everything that it would
        metrics.CHECKPOINT_FAILURES.inc()
        log.error("no checkpoint", problem=f"{type(error).__name__}: {error.__cause__ or error}")
        return
    seconds = time.monotonic() - begin
    metrics.CHECKPOINTS.inc()
    metrics.CHECKPOINT_SECONDS.set(seconds)
    log.info("checkpoint", seconds=round(seconds, 3))
    tell_copies(vault)


def tell_copies(vault: Vault) -> None:
    """After a checkpoint: whether it has its second copy. The next one makes it when the disk is back."""
    if vault.store.disks.lacks_copies:
        away = ", ".join(vault.store.disks.paths_away)
        problem = f"what is kept twice has one copy while a disk is not here ({away}): bring it back or replace it"
        log.warning("checkpoint on one disk only", problem=problem)
