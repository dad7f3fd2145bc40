"""Writes the catalog to a checkpoint now and then, so that a start replays little and two disks hold it whole."""

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
    begin = time.monotonic()
    await offload.write(write_checkpoint, vault)
    seconds = time.monotonic() - begin
    metrics.CHECKPOINTS.inc()
    metrics.CHECKPOINT_SECONDS.set(seconds)
    log.info("checkpoint", seconds=round(seconds, 3))
