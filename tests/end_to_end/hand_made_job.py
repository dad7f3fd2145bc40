"""A job of which the test holds every key: its secret, keyring, run keys, records and roots are made by hand, so that a
request can be as well-formed as an agent's.
"""

import json
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from blake3 import blake3

from protocol import messages as m
from tests.support.creator import Creator
from tests.vaultd.operations.sealing import DATA, Sealer, agent_fingerprint, job_secret, slot
from tools.client.session import VaultSession

CREATOR = Creator()
DEFINITION = m.JobDefinition([b"/tmp"], [], False, "", "", 1, 3, False, b"\x80")


@dataclass(frozen=True)
class AgentFacts:
    """What a job secret is bound to."""

    account_id: bytes
    computer_id: bytes
    fingerprint: bytes


async def agent_facts(people: VaultSession, state: Path, computer: str) -> AgentFacts:
    account_id = bytes.fromhex(json.loads((state / "identity.json").read_text())["account_id"])
    shown, _ = await people.ask("computer.show", m.ComputerShowRequest(computer), m.ComputerShowAnswer)
    fingerprint = agent_fingerprint(shown.tls_key, shown.sealing_key)
    return AgentFacts(account_id, shown.computer.computer_id, fingerprint)


def create_request(
    facts: AgentFacts, computer: str, name: str, job_id: bytes, keyring: m.KeyringJoin | None = None
) -> m.JobCreateRequest:
    ids = (facts.account_id, facts.computer_id, job_id)
    signature = CREATOR.sign_definition(ids, 1, name, DEFINITION)
    secret = job_secret(ids, facts.fingerprint, CREATOR, 1 if keyring is None else 2)
    return m.JobCreateRequest(job_id, computer, name, DEFINITION, 1, CREATOR.public_key, signature, secret, keyring)


async def make_job(people: VaultSession, agent: VaultSession, facts: AgentFacts, computer: str) -> Sealer:
    """A new job with its keyring."""
    sealer = Sealer(facts.account_id, facts.computer_id, os.urandom(16), os.urandom(16))
    request = create_request(facts, computer, secrets.token_hex(8), sealer.job_id)
    await people.ask("job.create", request, m.JobCreateAnswer)
    slots = [m.SlotUpload(slot(sealer.keyring_id), os.urandom(32))]
    keyring = m.KeyringCreateRequest(
        sealer.job_id, sealer.keyring_id, 1, 1, bytes(1216), 1, sealer.public_signing_key, slots
    )
    await agent.ask("keyring.create", keyring, m.KeyringCreateAnswer)
    return sealer


async def begin(agent: VaultSession, sealer: Sealer) -> None:
    """A run with its key."""
    await agent.ask("run.begin", m.RunBeginRequest(sealer.job_id, sealer.run_id, None), m.RunBeginAnswer)
    await agent.ask("run.key", m.RunKeyRequest(sealer.run_id, sealer.sealed_key), m.RunKeyAnswer)


def some_records(sealer: Sealer, count: int, size_bytes: int) -> list[bytes]:
    return [sealer.record(DATA, os.urandom(size_bytes)) for _ in range(count)]


async def upload_records(agent: VaultSession, sealer: Sealer, records: list[bytes]) -> None:
    """One batch; durable when it returns."""
    cids = b"".join(blake3(record).digest() for record in records)
    async with agent.call("chunk.upload") as call:
        await call.send(m.UploadBatch(sealer.run_id, 1, [len(record) for record in records], cids), b"".join(records))
        await call.end()
        assert await call.receive(m.UploadDurable) is not None
