"""Looks now and then for restore orders that are over: their sealed messages go."""

from collections.abc import Callable, Collection

import trio

from vaultd import offload
from vaultd.errors import NoSpace, Unavailable
from vaultd.logs import log
from vaultd.operations.ordered_restores import expire, has_outlived
from vaultd.operations.vault import Vault

LOOK_SECONDS = 60


async def expire_orders(vault: Vault, heard: Callable[[], Collection[bytes]]) -> None:
    """`heard` gives the orders that agents told of just now, so that they are carried out still."""
    while True:
        await trio.sleep(LOOK_SECONDS)
        await expire_once(vault, heard())


async def expire_once(vault: Vault, heard: Collection[bytes]) -> None:
    """What cannot be written now is tried again later; whether the store stopped is asked by who serves."""
    try:
        if await offload.read(has_outlived, vault):
            await offload.write(expire, vault, heard)
    except (NoSpace, Unavailable) as error:
        log.warning("restore orders not expired", problem=str(error.__cause__ or error))
