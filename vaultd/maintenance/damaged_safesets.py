"""Looks which safesets are hurt by damage that the vault met, and which are whole again; what changes is told once."""

import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
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
AGAIN_SECONDS = 3600  # after a look that did not come to its end, unless disks come or go, or damage is met
_EVERYTHING = b""

Failed = Callable[[Exception], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Cut:
    """A look that did not come to its end: how things were then, and when it is made again if they stay so."""

    met: object
    until_seconds: float


class DamageWatch:
    def __init__(self, vault: Vault) -> None:
        self._vault = vault
        self._cut: dict[bytes, Cut] = {}  # by keyring

    async def look_once(self) -> None:
        """What was met up to now is in the catalog when this returns, but for what is out of reach."""
        vault = self._vault
        if vault.store.looks.waits_for_commit:
            await offload.write(ledger.write, vault)
        await self._carry_out(Look(vault, None).run_damaged())
        due = await offload.read(damaged_safesets.due, vault)
        if due.everything is not None and not self._waits(_EVERYTHING, due.everything):
            await self._look(_EVERYTHING, due.everything, due)
        else:
            for keyring_id in due.keyrings:
                stamp = due.flagged.get(keyring_id)
                if not self._waits(keyring_id, stamp):
                    await self._look(keyring_id, stamp, due.only(keyring_id))
        metrics.SAFESETS_DAMAGED.set(await offload.read(damaged_safesets.count, vault))

    def _met(self, stamp: bytes | None) -> object:
        return stamp, tuple(self._vault.store.disks.paths_away)

    def _waits(self, name: bytes, stamp: bytes | None) -> bool:
        cut = self._cut.get(name)
        return cut is not None and cut.met == self._met(stamp) and self._now_seconds() < cut.until_seconds

    async def _look(self, name: bytes, stamp: bytes | None, due: Due) -> None:
        """`stamp`: of the damage that was met, None where it is only suspected: who asks again ends no waiting."""
        met = self._met(stamp)
        look = Look(self._vault, name or None)
        await self._carry_out(look.run())
        if look.is_cut:
            self._cut[name] = Cut(met, self._now_seconds() + AGAIN_SECONDS)
        else:
            self._cut.pop(name, None)
            await offload.write(damaged_safesets.conclude, self._vault, due)

    def _now_seconds(self) -> float:
        return self._vault.clock.monotonic_seconds()

    async def _carry_out(self, pieces: Iterator[list[Found]]) -> None:
        while (found := await offload.walk(_next, pieces)) is not None:
            if found:
                _tell(await offload.write(damaged_safesets.settle, self._vault, found))


async def watch_damage(vault: Vault, failed: Failed) -> None:
    """`failed` stops the daemon where the store was."""
    watch = DamageWatch(vault)
    while True:
        begin, met = time.monotonic(), vault.store.newest_damage
        try:
            await watch.look_once()
            await trio.sleep(time.monotonic() - begin)  # half of the time belongs to others
            await _rest(vault, met)
        except Exception as error:  # whatever it is: it is looked again
            log.error("damaged safesets not looked for", problem=f"{type(error).__name__}: {error.__cause__ or error}")
            await failed(error)
            await trio.sleep(LOOK_SECONDS)


async def _rest(vault: Vault, met: object) -> None:
    """Until LOOK_SECONDS are over, or damage is met, or something is due where the last look left nothing: somebody may
    wait for it.
    """
    looks = vault.store.looks
    is_left = await offload.read(looks.is_any_due)
    for _ in range(LOOK_SECONDS // SOON_SECONDS):
        if vault.store.newest_damage != met or looks.waits_for_commit:
            return
        if not is_left and await offload.read(looks.is_any_due):
            return
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
