"""Collects now and then, and when somebody asks: drops records that nobody needs and gives their space back.

It never stops anyone: no lock, no waiting time; each piece of its work leaves the rest of the time to others.
"""

import importlib
from collections.abc import Awaitable, Callable

import msgspec
import trio

from vaultd import metrics, offload
from vaultd.logs import log
from vaultd.maintenance.compaction import Compaction
from vaultd.maintenance.damaged_safesets import Failed
from vaultd.maintenance.pace import Pace
from vaultd.operations.vault import Vault

LOOK_SECONDS = 1
# Loaded with the first collection, in a thread: its arrays take memory and a moment of the start.
_PASS = "vaultd.maintenance.collection_pass"


async def keep_collecting(vault: Vault, failed: Failed) -> None:
    """`failed` stops the daemon where the store was; whatever else it meets is told, and tried again."""
    await _tried(failed, resume_moves, vault)
    every = vault.config.collect_every_seconds
    last_seconds = trio.current_time()
    while True:
        await trio.sleep(LOOK_SECONDS)
        is_due = bool(every) and trio.current_time() - last_seconds >= every
        if is_due or vault.collections.is_any_asked:
            await _tried(failed, collect_once, vault)
            last_seconds = trio.current_time()


async def resume_moves(vault: Vault) -> None:
    """What was planned before the start."""
    work = Compaction(vault, Pace(vault.config.collect_percent))
    if not await offload.read(vault.store.house.held_by):
        await work.resume()
    _count_moves(work.containers_moved, work.bytes_given_back)


async def collect_once(vault: Vault) -> None:
    """The one that was asked for first, or one that nobody asked for."""
    state = vault.collections.begin(vault.clock.now_ns())
    try:
        work = await offload.read(importlib.import_module, _PASS)
        await work.CollectionPass(vault, state).run()
    except Exception as error:
        _end(vault, f"{error}")
        raise
    except BaseException:
        _end(vault, "the vault stopped")
        raise
    if problem := vault.collections.state().problem:
        log.error("not collected", problem=problem)
    _end(vault, problem)


def _end(vault: Vault, problem: str) -> None:
    ended = msgspec.structs.replace(
        vault.collections.state(), phase="ended", end_ns=vault.clock.now_ns(), problem=problem
    )
    vault.collections.tell(ended)
    if not (problem or ended.is_trial):
        metrics.COLLECTIONS.inc()
        _count_moves(ended.containers_moved, ended.bytes_given_back)
        log.info(
            "collected", records=ended.records_dropped, bytes=ended.bytes_given_back, containers=ended.containers_moved
        )


def _count_moves(containers: int, given_back_bytes: int) -> None:
    metrics.CONTAINERS_MOVED.inc(containers)
    metrics.BYTES_GIVEN_BACK.inc(max(given_back_bytes, 0))


async def _tried(failed: Failed, work: Callable[[Vault], Awaitable[None]], vault: Vault) -> None:
    try:
        await work(vault)
    except Exception as error:
        log.error("not collected", problem=f"{type(error).__name__}: {error.__cause__ or error}")
        await failed(error)
