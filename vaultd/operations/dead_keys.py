"""Run keys and slots that do not open any more: what lies under such a run key can never be restored, so it counts as
damaged and the next run sends it again; a job whose slots are all lost takes no more runs.

A keyring gets a key with each run and never loses one, so they are read, tried and settled page by page. A key that
opened once since the start is not tried again. While a disk is away nothing is judged: it may have the copy
that opens. One that was given up is tried again by each run of its keyring, because the disk with a good copy of its
erase key may have come back after all, and is taken back where it opens.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice

from blake3 import blake3

from vaultd.catalog.keyrings import list_run_key_ids, list_slots, read_run_key
from vaultd.errors import Damaged, Unavailable
from vaultd.operations import access
from vaultd.operations.runs import KEY_ID_BYTES
from vaultd.operations.store_errors import translated
from vaultd.operations.vault import Vault
from vaultd.operations.wrapping import RUN_KEY, SLOT, run_key_owners, slot_owner, unwrap
from vaultd.records import Identity, RunKey, Slot

# What is held of a keyring at once, and what one transaction reads.
KEYS_PAGE = 1000
# About 25 MB.
JUDGED_KEYS_MAX = 250_000


@dataclass(frozen=True, slots=True)
class Judged:
    """Keys of a keyring whose state changes: `dead` ones do not open, those in `back` were given up and do. `next` is
    where the page after this one begins; None when this is the last.
    """

    dead: list[bytes]
    back: list[bytes]
    next: bytes | None = None


@dataclass(frozen=True, slots=True)
class _Page:
    """Of a keyring's keys those that are to be tried."""

    keyring_id: bytes
    rows: list[RunKey]
    given_up: set[bytes]
    next: bytes | None


def judge_keys(vault: Vault, identity: Identity, job_id: bytes, start: bytes = b"") -> Judged:
    """Of one page of the job's keyring; no transaction is open while they are tried."""
    is_away = vault.store.disks.is_any_away
    page = _read_page(vault, identity, job_id, start)
    dead, back = [], []
    for row in page.rows:
        is_given_up, is_judged = row.key_id in page.given_up, row.key_id in vault.judged_keys
        if is_away and not is_given_up:
            continue
        opens = _key_opens(vault, page.keyring_id, row)
        if opens and is_given_up:
            back.append(row.key_id)
        elif opens is False and not (is_away or is_judged):
            dead.append(row.key_id)
    return Judged([] if dead and _is_any_away_by_now(vault) else dead, back, page.next)


def _read_page(vault: Vault, identity: Identity, job_id: bytes, start: bytes) -> _Page:
    with vault.catalog.read() as view, translated():
        job = access.job_with_keyring(access.own_job(view, identity, job_id))
        owner = job.account_id, job.keyring_id
        ids = list(islice(list_run_key_ids(view, *owner, start), KEYS_PAGE))
        given_up = {id_ for id_ in ids if vault.store.is_key_given_up(job.keyring_id, id_)}
        wanted = (id_ for id_ in ids if id_ in given_up or id_ not in vault.judged_keys)
        rows = [row for id_ in wanted if (row := read_run_key(view, *owner, id_))]
    return _Page(job.keyring_id, rows, given_up, ids[-1] + b"\0" if len(ids) == KEYS_PAGE else None)


def settle_keys(vault: Vault, identity: Identity, job_id: bytes, judged: Judged) -> None:
    """W."""
    if judged.dead:
        give_up_keys(vault, identity, job_id, judged.dead)
    if judged.back:
        take_back_keys(vault, identity, job_id, judged.back)


def check_slots(vault: Vault, identity: Identity, job_id: bytes) -> None:
    """Damaged when none of the job's slots opens."""
    if vault.store.disks.is_any_away:
        return
    with vault.catalog.read() as view:
        job = access.job_with_keyring(access.own_job(view, identity, job_id))
        slots = list(list_slots(view, job.account_id, job.keyring_id))
    if not _any_opens(vault, slots) and not _is_any_away_by_now(vault):
        raise Damaged(
            f"no slot of job {job.name!r} can be read: nothing that it stores could be restored",
            "the operator runs `vaultd check`; if no copy of the slots is left, create the job anew under another name",
        )


def _is_any_away_by_now(vault: Vault) -> bool:
    """What a disk that went away a moment ago holds, erase keys among it, is no more dead than what one holds that was
    away at the start.
    """
    vault.store.look_after_disks()
    return vault.store.disks.is_any_away


def give_up_keys(vault: Vault, identity: Identity, job_id: bytes, key_ids: list[bytes]) -> None:
    """W. What lies under them is asked for again."""
    with vault.catalog.read() as view:
        job = access.own_job(view, identity, job_id)
    with translated():
        vault.store.give_up_keys(job.keyring_id, key_ids)
    _note_judged(vault, key_ids)


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
    _note_judged(vault, [row.key_id])
    return True


def _note_judged(vault: Vault, key_ids: Iterable[bytes]) -> None:
    """Where too many are known all are forgotten, and tried once more."""
    if len(vault.judged_keys) >= JUDGED_KEYS_MAX:
        vault.judged_keys.clear()
    vault.judged_keys.update(key_ids)
