"""The signed definition of a job: the frozen documents hold for both sides and for openssl, and nothing else does."""

from dataclasses import replace

import msgpack
import msgspec
import pytest

from protocol.messages import JobDefinition
from tests.support.openssl import ed25519_verifies
from tests.tools.client.vectors import load
from tools.client.creator_key import CreatorKey, create_creator_key
from tools.client.job_definition import JobAddress, RevisedJob, is_definition_signed, sign_definition
from vaultd import records
from vaultd.errors import BadRequest
from vaultd.operations.job_definition import check_signature

V = load("job_definition")
CREATOR = CreatorKey(V["creator_seed"])
LABEL = b"safeset job definition v1"


def job_of(vector) -> RevisedJob:
    """From the frozen document itself, read by msgpack."""
    version, account, computer, job, revision, name, *definition = msgpack.unpackb(vector["document"])
    assert version == 1
    return RevisedJob(JobAddress(account, computer, job), revision, name, JobDefinition(*definition))


@pytest.mark.parametrize("vector", V["definitions"], ids=lambda vector: vector["name"])
def test_the_frozen_definitions_hold(vector, tmp_path):
    job = job_of(vector)
    assert sign_definition(job, CREATOR) == vector["signature"]
    assert is_definition_signed(job, V["creator_key"], vector["signature"])
    assert ed25519_verifies(tmp_path, V["creator_key"], vector["signature"], LABEL + vector["document"])
    assert not ed25519_verifies(tmp_path, V["creator_key"], vector["signature"], LABEL + vector["document"] + b"\0")


@pytest.mark.parametrize("vector", V["definitions"], ids=lambda vector: vector["name"])
def test_the_vault_makes_the_same_document(vector):
    job = job_of(vector)
    definition = msgspec.convert(job.definition, records.JobDefinition, from_attributes=True)
    address = job.address
    row = records.Job(
        job_id=address.job_id,
        account_id=address.account_id,
        computer_id=address.computer_id,
        name=job.name,
        definition=definition,
        revision=job.revision,
        creator_key=V["creator_key"],
        signature=vector["signature"],
        created_ns=0,
    )
    check_signature(row)
    with pytest.raises(BadRequest, match="signature"):
        check_signature(msgspec.structs.replace(row, revision=job.revision + 1))


def test_nothing_of_a_job_can_be_changed():
    job, signature = job_of(V["definitions"][0]), V["definitions"][0]["signature"]
    changed = [
        replace(job, revision=job.revision + 1),
        replace(job, name=job.name.upper()),
        *(replace(job, address=replace(job.address, **{name: bytes(16)})) for name in JobAddress.__slots__),
    ]
    for field in msgspec.structs.fields(JobDefinition):
        old = getattr(job.definition, field.name)
        new = not old if isinstance(old, bool) else old + 1 if isinstance(old, int) else old[:-1]
        changed.append(replace(job, definition=msgspec.structs.replace(job.definition, **{field.name: new})))
    assert len(changed) == 5 + 9
    for other in changed:
        assert other != job
        assert not is_definition_signed(other, V["creator_key"], signature)


def test_another_key_or_one_that_is_none_signs_nothing():
    job, signature = job_of(V["definitions"][0]), V["definitions"][0]["signature"]
    for key in (create_creator_key().public_key, b"\xff" * 32, b""):
        assert not is_definition_signed(job, key, signature)
