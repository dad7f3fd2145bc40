"""Run keys and slots that do not open any more: what lies under such a run key can never be restored, so it counts as
damaged and the next run sends it again; a job whose slots are all lost takes no more runs.

A key that opened once since the start is not tried again. While a disk is away nothing is judged: it may have the copy
that opens. One that was given up is tried again by each run of its keyring, because the disk with a good copy of its
erase key may have come back after all, and is taken back where it opens.
"""

from dataclasses import dataclass

from blake3 import blake3

from vaultd.catalog.keyrings import list_run_keys, list_slots
from vaultd.errors import Damaged, Unavailable
from vaultd.operations import access
from vaultd.operations.runs import KEY_ID_BYTES
from vaultd.operations.store_errors import translated
from vaultd.operations.vault import Vault
from vaultd.operations.wrapping import RUN_KEY, SLOT, run_key_owners, slot_owner, unwrap
from vaultd.records import Identity, RunKey, Slot


@dataclass(frozen=True, slots=True)
class Judged:
    """Keys of a keyring whose state changes: `dead` ones do not open, those in `back` were given up and do."""

    dead: list[bytes]
    back: list[bytes]


def judge_keys(vault: Vault, identity: Identity, job_id: bytes) -> Judged:
    return Judged(find_dead_keys(vault, identity, job_id), find_keys_that_open_again(vault, identity, job_id))


def settle_keys(vault: Vault, identity: Identity, job_id: bytes, judged: Judged) -> None:
    """W."""
    if judged.dead:
        give_up_keys(vault, identity, job_id, judged.dead)
    if judged.back:
        take_back_keys(vault, identity, job_id, judged.back)


def find_dead_keys(vault: Vault, identity: Identity, job_id: bytes) -> list[bytes]:
    """Of the job's keyring, those that were not found before. Damaged when none of its slots opens."""
    if vault.store.disks.is_any_away:
        return []
    try:
        dead = _find_dead_keys(vault, identity, job_id)
    except Damaged:
        if _is_any_away_by_now(vault):
            return []
        raise
    return [] if dead and _is_any_away_by_now(vault) else dead


def _is_any_away_by_now(vault: Vault) -> bool:
    """What a disk that went away a moment ago holds, erase keys among it, is no more dead than what one holds that was
    away at the start.
    """
    met = vault.store.look_after_disks()
    return met or vault.store.disks.is_any_away


def _find_dead_keys(vault: Vault, identity: Identity, job_id: bytes) -> list[bytes]:
    with vault.catalog.read() as view:
        job = access.job_with_keyring(access.own_job(view, identity, job_id))
        slots = list(list_slots(view, job.account_id, job.keyring_id))
        rows = list(list_run_keys(view, job.account_id, job.keyring_id))
    if not _any_opens(vault, slots):
        raise Damaged(
            f"no slot of job {job.name!r} can be read: nothing that it stores could be restored",
            "the operator runs `vaultd check`; if no copy of the slots is left, create the job anew under another name",
        )
    unjudged = [row for row in rows if row.key_id not in vault.judged_keys]
    return [row.key_id for row in unjudged if _key_opens(vault, job.keyring_id, row) is False]


def give_up_keys(vault: Vault, identity: Identity, job_id: bytes, key_ids: list[bytes]) -> None:
    """W. What lies under them is asked for again."""
    with vault.catalog.read() as view:
        job = access.own_job(view, identity, job_id)
    with translated():
        vault.store.give_up_keys(job.keyring_id, key_ids)
    vault.judged_keys.update(key_ids)


def find_keys_that_open_again(vault: Vault, identity: Identity, job_id: bytes) -> list[bytes]:
    with vault.catalog.read() as view:
        job = access.job_with_keyring(access.own_job(view, identity, job_id))
        rows = list(list_run_keys(view, job.account_id, job.keyring_id))
    with translated():
        given_up = [row for row in rows if vault.store.is_key_given_up(job.keyring_id, row.key_id)]
    return [row.key_id for row in given_up if _key_opens(vault, job.keyring_id, row) is True]


def take_back_keys(vault: Vault, identity: Identity, job_id: bytes, key_ids: list[bytes]) -> None:
    """W. What lies under them and was not sent again is there as before."""
    with vault.catalog.read() as view:
        job = access.own_job(view, identity, job_id)
    with translated():
        vault.store.take_back_keys(job.keyring_id, key_ids)


def _any_opens(vault: Vault, slots: list[Slot]) -> bool:
    unread: Unavailable | None = None
    for slot in slots:
        try:
            unwrap(vault, [slot_owner(slot.slot_id)], SLOT, slot.slot_id, slot.wrapped)
        except Damaged:
            continue
        except Unavailable as error:
            unread = error
        else:
            return True
    if unread:
        raise unread
    return False


def _key_opens(vault: Vault, keyring_id: bytes, row: RunKey) -> bool | None:
    """None where that cannot be told now: the next run looks again."""
    try:
        sealed = unwrap(vault, run_key_owners(row.job_id, keyring_id), RUN_KEY, row.key_id, row.wrapped)
    except Damaged:
        return False
    except Unavailable:
        return None
    if blake3(sealed).digest(length=KEY_ID_BYTES) != row.key_id:
        return False
    vault.judged_keys.add(row.key_id)
    return True
