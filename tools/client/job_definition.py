"""What a job is, as its creator signs it (docs/format.md, Job definition)."""

from dataclasses import dataclass

from protocol.messages.job import JobDefinition
from tools.client.creator_key import CreatorKey, is_signed
from tools.client.strict_msgpack import pack

FIRST_REVISION = 1

_VERSION = 1
_LABEL = b"safeset job definition v1"


@dataclass(frozen=True, slots=True)
class JobAddress:
    """Which job: what is signed or sealed for one is good for no other."""

    account_id: bytes
    computer_id: bytes
    job_id: bytes


@dataclass(frozen=True, slots=True)
class RevisedJob:
    """A job at one revision of its definition; a later revision has a greater number."""

    address: JobAddress
    revision: int
    name: str
    definition: JobDefinition


def sign_definition(job: RevisedJob, creator: CreatorKey) -> bytes:
    return creator.sign(_signed(job))


def is_definition_signed(job: RevisedJob, creator_key: bytes, signature: bytes) -> bool:
    return is_signed(creator_key, signature, _signed(job))


def _signed(job: RevisedJob) -> bytes:
    address, definition = job.address, job.definition
    return _LABEL + pack([
        _VERSION, address.account_id, address.computer_id, address.job_id, job.revision, job.name,
        definition.include, definition.exclude, definition.one_file_system, definition.schedule, definition.retention,
        definition.suite, definition.compression, definition.both_sites, definition.options,
    ])  # fmt: skip
