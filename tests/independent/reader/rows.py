"""The rows of a job and of its keyring, which say in clear who signed."""

from __future__ import annotations

from dataclasses import dataclass

import msgpack
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from .damage import Damage, require
from .journal import Tables

JOB_FIELDS_MIN = 11


@dataclass(frozen=True, slots=True)
class KeyringRow:
    id: bytes
    account: bytes
    generation: int
    kem: int
    public_key: bytes
    minimum_suite: int
    made: int


@dataclass(frozen=True, slots=True)
class JobRow:
    id: bytes
    account: bytes
    computer: bytes
    name: str
    definition: list[object]
    revision: int
    creator_key: bytes
    signature: bytes
    made: int
    keyring: bytes
    signing_key: bytes


def keyring_rows(tables: Tables) -> dict[bytes, KeyringRow]:
    """By keyring."""
    rows = (KeyringRow(*msgpack.unpackb(value)[:7]) for value in tables.get("keyrings", {}).values())
    return {row.id: row for row in rows}


def job_rows(tables: Tables) -> dict[bytes, JobRow]:
    """By job."""
    rows = (JobRow(*msgpack.unpackb(value)[:JOB_FIELDS_MIN]) for value in tables.get("jobs", {}).values())
    return {row.id: row for row in rows}


def verify_definition(job: JobRow) -> None:
    require(len(job.definition) == 9, f"the definition of job {job.id.hex()} has not 9 fields")
    document = msgpack.packb([1, job.account, job.computer, job.id, job.revision, job.name, *job.definition])
    try:
        public_key = Ed25519PublicKey.from_public_bytes(job.creator_key)
        public_key.verify(job.signature, b"safeset job definition v1" + document)
    except InvalidSignature as error:
        raise Damage(f"the definition of job {job.id.hex()} is not as its creator signed it") from error
