"""Looks after the disks now and then: one that goes away while the daemon runs is told, and takes no new container."""

import trio

from vaultd import metrics, offload
from vaultd.logs import log
from vaultd.operations.disks import can_complete_keys, complete_keys, look_after_disks
from vaultd.operations.vault import Vault

LOOK_SECONDS = 30


async def watch_disks(vault: Vault) -> None:
    """A look that fails is told once and ends nothing: it writes no record, and whoever needs what it met finds out."""
    told, failed = set(vault.store.disks.paths_away), ""  # by the start
    while True:
        try:
            told = await look_once(vault, told)
            failed = ""
        except Exception as error:
            failed = _tell_failed(f"{type(error).__name__}: {error}", failed)
        await trio.sleep(LOOK_SECONDS)


def _tell_failed(problem: str, before: str) -> str:
    if problem != before:
        what_to_do = "it is tried again; look at the disks, and restart vaultd if it stays"
        log.error("disks not looked after", problem=f"{problem}; {what_to_do}")
    return problem


async def look_once(vault: Vault, told: set[str]) -> set[str]:
    """Logs what changed since the places `told`; those that are away now."""
    findings = await offload.read(look_after_disks, vault)
    await offload.read(measure, vault)
    away = set(vault.store.disks.paths_away)
    metrics.DISKS_OFFLINE.set(len(vault.store.disks.paths_away))
    for finding in findings:
        if finding.place in away - told:
            log.error("disk offline", place=finding.place, problem=finding.sentence)
    lost = vault.store.disks.places_lost
    for place in sorted(told - away):
        log.info("disk declared lost" if place in lost else "disk not offline any more", place=place)
    are_due = await offload.read(can_complete_keys, vault)
    if told - away or are_due:
        await _complete_keys(vault)
    return away


def measure(vault: Vault) -> None:
    """How much is free on each disk, as long as it is here."""
    for disk in vault.store.statistics().disks:
        free_bytes = 0 if vault.store.disks.has_gone(disk.disk_id) else disk.free_bytes
        metrics.DISK_FREE_BYTES.labels(str(disk.number)).set(free_bytes)


async def _complete_keys(vault: Vault) -> None:
    """Keys that were made while a disk was away lie on the other one only."""
    for finding in await offload.write(complete_keys, vault):
        log.warning("erase key", severity=finding.severity.value, place=finding.place, problem=finding.sentence)
