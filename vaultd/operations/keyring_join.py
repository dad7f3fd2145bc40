"""A new job that shares the keyring of others of its account: its content is found to be there where theirs is.

Job, key that verifies its roots, and slots with its signing key in them come in one entry. All slots of before go: one
that stayed would open a keyring that knows nothing of the job.
"""

from dataclasses import dataclass

import msgspec

from vaultd.catalog.keyrings import read_keyring
from vaultd.errors import BadRequest, Conflict, NotFound
from vaultd.operations import ledger
from vaultd.operations.auditing import audited
from vaultd.operations.job_definition import check_definition
from vaultd.operations.jobs import NewJob, check_new, job_changes
from vaultd.operations.keyring_slots import SlotChange, destroy_erased_slots, jobs_of, replace_slots, working_jobs_of
from vaultd.operations.keyrings import check_signing_key
from vaultd.operations.names import check_name
from vaultd.operations.sealed_headers import SECRET_PURPOSE_NEW_KEYS
from vaultd.operations.vault import Vault
from vaultd.records import Identity, Job
from vaultd.store.journal.format import EntryKind

JOBS_MAX = 64


@dataclass(frozen=True, slots=True)
class Join:
    change: SlotChange
    signing_key: bytes


def create_in_keyring(vault: Vault, identity: Identity, new: NewJob, join: Join) -> Job:
    """W. Against the proof of a slot, counted like that of a restore. The same request again is answered the same way,
    and completes what was begun.
    """
    check_name(new.name, "name of the job")
    check_definition(new.definition)
    check_signing_key(join.signing_key)
    with vault.catalog.read() as view:
        asked = check_new(vault, view, identity, new, SECRET_PURPOSE_NEW_KEYS)
        keyring = read_keyring(view, identity.account_id, join.change.keyring_id)
        if keyring is None:
            raise NotFound(f"keyring {join.change.keyring_id.hex()} does not exist")
        member, working = jobs_of(view, keyring)[0], working_jobs_of(view, keyring)
        audit = audited(vault, view, identity, "job.create", f"{new.computer}/{new.name}")
    if asked.known is None:
        if len(working) >= JOBS_MAX:
            raise Conflict(f"the keyring is of {JOBS_MAX} jobs already", "create the job with a keyring of its own")
        if join.change.rotation is not None:
            raise BadRequest("keyring: a job joins without a rotation")
        slots = replace_slots(vault, identity, member, keyring, join.change, takes_all=True)
        job = msgspec.structs.replace(asked.job, keyring_id=keyring.keyring_id, signing_key=join.signing_key)
        changes = [*job_changes(vault, job, new.secret), *slots, *audit]
        ledger.record(vault, changes, EntryKind.slot, keyring=keyring.keyring_id)
    destroy_erased_slots(vault, keyring)
    return asked.known or asked.job
