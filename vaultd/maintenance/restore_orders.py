"""Looks now and then for restore orders that are over: their sealed messages go."""

from collections.abc import Callable, Collection

import trio

from vaultd import offload
from vaultd.logs import log
from vaultd.maintenance.damaged_safesets import Failed
from vaultd.operations.ordered_restores import expire, has_outlived
from vaultd.operations.vault import Vault

LOOK_SECONDS = 60


async def expire_orders(vault: Vault, heard: Callable[[], Collection[bytes]], failed: Failed) -> None:
    """`heard` gives the orders that agents told of just now, so that they are carried out still. `failed` stops the
    daemon where the store was; whatever else it meets is told once, and tried again.
    """
    told = ""
    while True:
        await trio.sleep(LOOK_SECONDS)
        try:
            await expire_once(vault, heard())
            told = ""
        except Exception as error:
            told = _tell_failed(f"{type(error).__name__}: {error.__cause__ or error}", told)
            await failed(error)


async def expire_once(vault: Vault, heard: Collection[bytes]) -> None:
    if await offload.read(has_outlived, vault):
        await offload.write(expire, vault, heard)


def _tell_failed(problem: str, before: str) -> str:
    if problem != before:
        log.warning("restore orders not expired", problem=problem)
    return problem
