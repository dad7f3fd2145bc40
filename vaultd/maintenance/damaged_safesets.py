"""Looks which safesets are hurt by damage that the vault met, and which are whole again; what changes is told once."""

import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from itertools import groupby

import trio

from vaultd import metrics, offload
from vaultd.logs import log
from vaultd.operations import damaged_safesets, ledger
from vaultd.operations.damaged_safesets import Changed, Found, Look
from vaultd.operations.vault import Vault
from vaultd.store.damage_looks import Due

LOOK_SECONDS = 30
SOON_SECONDS = 1  # after damage was met
AGAIN_SECONDS = 3600  # after a look that did not come to its end, unless disks come or go, or more is met
_EVERYTHING = b""

Failed = Callable[[Exception], Awaitable[None]]


class DamageWatch:
    def __init__(self, vault: Vault) -> None:
        self._vault = vault
        self._cut: dict[bytes, tuple[object, ...]] = {}  # by keyring, how things were when its look was cut

    async def look_once(self) -> None:
        """What was met up to now is in the catalog when this returns, but for what is out of reach."""
        vault = self._vault
        if vault.store.looks.waits_for_commit:
            await offload.write(ledger.write, vault)
        await self._carry_out(Look(vault, None).run_damaged())
        due = await offload.read(damaged_safesets.due, vault)
        if due.everything is not None:
            await self._look(None, due)
        else:
            for keyring_id in due.keyrings:
                await self._look(keyring_id, due.only(keyring_id))
        metrics.SAFESETS_DAMAGED.set(await offload.read(damaged_safesets.count, vault))

    async def _look(self, keyring_id: bytes | None, due: Due) -> None:
        name = keyring_id or _EVERYTHING
        now = (due, tuple(self._vault.store.disks.paths_away), int(time.monotonic() // AGAIN_SECONDS))
        if self._cut.get(name) == now:
            return
        look = Look(self._vault, keyring_id)
        await self._carry_out(look.run())
        if look.is_cut:
            self._cut[name] = now
            self._vault.store.looks.put_off(due)
        else:
            self._cut.pop(name, None)
            await offload.write(damaged_safesets.conclude, self._vault, due)

    async def _carry_out(self, pieces: Iterator[list[Found]]) -> None:
        while (found := await offload.walk(_next, pieces)) is not None:
            if found:
                _tell(await offload.write(damaged_safesets.settle, self._vault, found))


async def watch_damage(vault: Vault, failed: Failed) -> None:
    """`failed` stops the daemon where the store was."""
    watch = DamageWatch(vault)
    while True:
        begin, met = time.monotonic(), vault.store.damage_met
        try:
            await watch.look_once()
        except Exception as error:  # whatever it is: it is looked again
            log.error("damaged safesets not looked for", problem=f"{type(error).__name__}: {error.__cause__ or error}")
            await failed(error)
            await trio.sleep(LOOK_SECONDS)
        await trio.sleep(time.monotonic() - begin)  # half of the time belongs to others
        for _ in range(LOOK_SECONDS // SOON_SECONDS):
            if vault.store.damage_met != met or vault.store.looks.waits_for_commit:
                break
            await trio.sleep(SOON_SECONDS)


def _next(pieces: Iterator[list[Found]]) -> list[Found] | None:
    return next(pieces, None)


def _tell(changed: Sequence[Changed]) -> None:
    for (place, is_damaged), some in groupby(changed, key=lambda one: (one.place, one.is_damaged)):
        numbers = ", ".join(str(one.number) for one in some)
        if is_damaged:
            log.error("safesets damaged", place=place, problem=f"what they use is damaged or lost: safesets {numbers}")
        else:
            log.info("safesets not damaged any more", place=place, problem=f"safesets {numbers}")
