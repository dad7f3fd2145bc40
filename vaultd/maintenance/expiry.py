"""Goes through all jobs now and then: what the rules of retention end expires, and what expired long ago is purged.

Every decision is by a look at the clock that was compared with the one before: where the clock jumped in between, or
jumped at any time and no operator said since that it is right, nothing ends.
"""

import trio

from vaultd import metrics, offload
from vaultd.errors import Damaged
from vaultd.logs import log
from vaultd.maintenance.clock_watch import ClockWatch
from vaultd.maintenance.damaged_safesets import Failed
from vaultd.operations import clock_doubt, expiry
from vaultd.operations.expiry import Due, Kept, Rest
from vaultd.operations.vault import Vault

PASS_SECONDS = 300


class Expiry:
    def __init__(self, vault: Vault, watch: ClockWatch) -> None:
        self._vault = vault
        self._watch = watch
        self._rests: dict[bytes, Rest] = {}

    async def pass_once(self) -> None:
        """Through all jobs, unless the clock is doubted. One of which a row is damaged keeps no other from its turn."""
        after = b""
        while keys := await offload.read(expiry.jobs_after, self._vault, after):
            after = keys[-1]
            now = await self._watch.look()
            for key in await offload.read(expiry.not_at_rest, self._vault, keys, self._rests, now.wall_ns):
                now = await self._watch.look()
                if await offload.read(clock_doubt.is_doubted, self._vault):
                    return
                try:
                    await self._pass_job(key, now.wall_ns)
                except Damaged as error:
                    job = f"account {key[:16].hex()}, job {key[16:].hex()}"
                    log.error("safesets not expired", place=job, problem=f"{error}: {error.hint}")

    async def _pass_job(self, key: bytes, now_ns: int) -> None:
        while isinstance(due := await offload.walk(expiry.find_due, self._vault, key, now_ns), Due):
            kept = await offload.write(expiry.keep_house, self._vault, due, now_ns)
            if kept is None:
                return  # somebody was faster: the next pass looks anew
            _tell(kept)
        self._rests[key] = due


async def expire_safesets(vault: Vault, watch: ClockWatch, failed: Failed) -> None:
    """`failed` stops the daemon where the store was; whatever else it meets is told, and tried again."""
    duty = Expiry(vault, watch)
    while True:
        try:
            await duty.pass_once()
        except Exception as error:
            log.error("safesets not expired", problem=f"{type(error).__name__}: {error.__cause__ or error}")
            await failed(error)
        await trio.sleep(PASS_SECONDS)


def _tell(kept: Kept) -> None:
    metrics.SAFESETS_EXPIRED.inc(kept.expired)
    metrics.SAFESETS_PURGED.inc(kept.purged)
    if kept.expired or kept.purged:
        log.info("safesets ended", place=kept.place, expired=kept.expired, purged=kept.purged)
    if kept.is_frozen_now:
        metrics.JOBS_FROZEN.inc()
        log.error(
            "job frozen",
            place=kept.place,
            problem=f"{expiry.BURST}: nothing of it expires until an administrator says so",
        )
