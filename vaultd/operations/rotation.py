"""Another generation for a keyring: its public facts, the keys that verify the roots of its jobs from then on, and for
each agent the message that brings it its part.

Runs that go on are ended: a root under the older keys is not taken any more, and their agents begin again with the new
ones. What those runs stored stays present, so nothing is sent twice.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec

from vaultd.catalog.computers import read_computer
from vaultd.catalog.database import View
from vaultd.catalog.jobs import save_secret, update_job
from vaultd.catalog.keyrings import save_keyring
from vaultd.errors import BadRequest, Conflict, Internal
from vaultd.operations.jobs import check_secret
from vaultd.operations.keyrings import check_generation, check_signing_key
from vaultd.operations.runs import end_active
from vaultd.operations.sealed_headers import SECRET_PURPOSE_NEW_KEYS
from vaultd.operations.vault import Vault
from vaultd.operations.wrapping import JOB_SECRET, job_owner, wrap
from vaultd.records import Change, Job, Keyring


@dataclass(frozen=True, slots=True)
class JobKeys:
    """What verifies the job's roots of the new generation, and what is sealed for its agent."""

    job_id: bytes
    signing_key: bytes
    secret: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Rotation:
    generation: int
    kem: int
    public_key: bytes
    minimum_suite: int
    jobs: tuple[JobKeys, ...]


def rotate(
    vault: Vault, view: View, keyring: Keyring, jobs: Sequence[Job], rotation: Rotation
) -> tuple[Keyring, list[Change]]:
    """W. The keyring as it is then, and the changes; of all its jobs together, so that none stays with the old keys.

    `jobs`: without the removed ones, which take no run. Their roots go on being verified by the key that they have.
    """
    if rotation.generation != keyring.generation + 1:
        raise Conflict(
            f"generation {rotation.generation} does not follow {keyring.generation}, which the keyring has",
            "another command changed the keyring meanwhile: run this one again",
        )
    check_generation(rotation.kem, rotation.public_key, rotation.minimum_suite)
    keys = {one.job_id: one for one in rotation.jobs}
    if len(keys) != len(rotation.jobs) or set(keys) != {job.job_id for job in jobs}:
        raise Conflict(
            "jobs: they are not exactly the jobs that the keyring is of, without removed ones",
            "another command changed the keyring meanwhile: run this one again",
        )
    rotated = msgspec.structs.replace(
        keyring, generation=rotation.generation, kem=rotation.kem, public_key=rotation.public_key,
        minimum_suite=rotation.minimum_suite,
    )  # fmt: skip
    if rotated.minimum_suite < keyring.minimum_suite:
        raise BadRequest(f"minimum_suite {rotated.minimum_suite} is below {keyring.minimum_suite}, the keyring's")
    changes = save_keyring(rotated)
    for job in jobs:
        signers = (*job.earlier_signers, (keyring.generation, job.signing_key))
        changes += _new_keys(vault, view, msgspec.structs.replace(job, earlier_signers=signers), keys[job.job_id])
    return rotated, changes


def _new_keys(vault: Vault, view: View, job: Job, keys: JobKeys) -> list[Change]:
    check_signing_key(keys.signing_key)
    computer = read_computer(view, job.account_id, job.computer_id)
    if computer is None:
        raise Internal(f"computer {job.computer_id.hex()} is not in the catalog")
    check_secret(keys.secret, job, computer, SECRET_PURPOSE_NEW_KEYS)
    secret = wrap(vault, job_owner(job.job_id), JOB_SECRET, job.job_id, keys.secret)
    return [
        *update_job(msgspec.structs.replace(job, signing_key=keys.signing_key)),
        *save_secret(job, secret),
        *end_active(view, job, vault.clock.now_ns()),
    ]
