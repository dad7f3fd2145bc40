"""The keys of a job as its owner sees them: other passwords for it, and what can be opened with the one that it has."""

from __future__ import annotations

import os
from collections.abc import Iterable

from blake3 import blake3
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.vaultd.operations.collected_site import Collected
from tests.vaultd.operations.sealing import agent_fingerprint, job_secret, slot
from tests.vaultd.operations.small_site import CREATOR, PROOF
from vaultd.catalog.keyrings import list_run_keys
from vaultd.operations import fetch, keyring_slots, restore
from vaultd.operations.keyring_slots import SlotChange
from vaultd.operations.keyrings import NewSlot
from vaultd.operations.restore import OpenRequest
from vaultd.operations.rotation import JobKeys, Rotation
from vaultd.operations.wrapping import RUN_KEY, run_key_owners, unwrap

NO_KEY = bytes(16)  # companions are not sealed


def key_of(record: bytes) -> bytes:
    return record[24:40]


def keys_of(one: Collected, ids: Iterable[bytes]) -> set[bytes]:
    """Of runs, under which these records are sealed."""
    return {key_of(one.stored[id_]) for id_ in ids} - {NO_KEY}


def keys_that_open(one: Collected) -> set[bytes]:
    """Of runs, by the vault's erase keys."""
    with one.site.vault.catalog.read() as view:
        rows = list(list_run_keys(view, one.job.job.account_id, one.keyring_id))
    for row in rows:
        sealed = unwrap(one.site.vault, run_key_owners(row.job_id, one.keyring_id), RUN_KEY, row.key_id, row.wrapped)
        assert blake3(sealed).digest()[:16] == row.key_id
    return {row.key_id for row in rows}


def change_password(one: Collected, *, rotates: bool) -> None:
    """A slot under another password takes the place of the old one; where it `rotates` the keyring has another
    generation and the job another key that signs.
    """
    job, sealer = one.job, one.job.sealer
    generation, rotation = sealer.generation + rotates, None
    signer = Ed25519PrivateKey.generate() if rotates else sealer.signing_key
    if rotates:
        ids = (job.job.account_id, job.job.computer_id, job.job.job_id)
        secret = job_secret(ids, agent_fingerprint(job.agent.spki, job.agent.sealing_key), CREATOR, 2)
        keys = JobKeys(job.job.job_id, signer.public_key().public_bytes_raw(), secret)
        rotation = Rotation(generation, 1, os.urandom(1216), 1, (keys,))
    made = slot(sealer.keyring_id, generation=generation)
    new = NewSlot(made, blake3(PROOF).digest())
    change = SlotChange(sealer.keyring_id, job.slot_id, PROOF, (new,), (job.slot_id,), rotation)
    keyring_slots.change_slots(one.site.vault, one.owner, one.name, "home", change)
    job.slot, sealer.generation, sealer.signing_key = made, generation, signer


def lost_in_restore(one: Collected, number: int) -> set[bytes]:
    """What the safeset uses and a restore under the present password does not get, or cannot open."""
    asked = OpenRequest(None, "home", one.job.slot_id, PROOF, number)
    opened = restore.open_restore(one.site.vault, one.job.agent.identity, asked)
    assert (set(opened.slots), opened.root) == ({one.job.slot}, one.roots[number - 1])
    ids = sorted(one.used[number])
    stream = fetch.open_fetch(one.site.vault, one.job.agent.identity, opened.ticket)
    found = stream.fetch(ids, 1 << 30)
    assert len(found.records) == len(ids)
    keys = {key_id for key_id, sealed in found.keys if blake3(sealed).digest()[:16] == key_id} | {NO_KEY}
    return {
        id_ for id_, record in zip(ids, found.records, strict=True)
        if record != one.stored[id_] or key_of(one.stored[id_]) not in keys
    }  # fmt: skip
