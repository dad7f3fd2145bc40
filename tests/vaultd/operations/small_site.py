"""A vault in a temporary directory with accounts, computers and jobs, for the tests of operations."""

import os
from dataclasses import dataclass
from pathlib import Path

from blake3 import blake3
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.support.creator import Creator
from tests.vaultd.operations.sealing import Sealer, agent_fingerprint, job_secret, slot
from vaultd.catalog.jobs import read_job
from vaultd.catalog.runs import read_run
from vaultd.clock import FixedClock
from vaultd.config import Config, make_config
from vaultd.operations import accounts, computers, jobs, keyrings, ledger, runs, safesets, upload
from vaultd.operations.computers import RegistrationRequest
from vaultd.operations.init import Initialised, InitRequest, init_vault
from vaultd.operations.jobs import NewJob
from vaultd.operations.keyrings import NewKeyring, NewSlot
from vaultd.operations.safesets import Committed, Prepared
from vaultd.operations.sign_in import sign_in_token
from vaultd.operations.upload import UploadBatch
from vaultd.operations.vault import Vault, close_vault, open_vault
from vaultd.records import AgentIdentity, Figures, Identity, Job, JobDefinition, Role
from vaultd.store.disk_door import SystemDoor

DEFINITION = JobDefinition((b"/data",), ("*.tmp",), False, "0 2 * * *", "daily", 1, 3, False, b"\x80")
PROOF = bytes(range(32))
CREATOR = Creator()


@dataclass
class Agent:
    identity: Identity
    spki: bytes
    sealing_key: bytes
    certificate_request: bytes


@dataclass
class BackedUp:
    """A job with its keyring, and the sealer of its run."""

    job: Job
    sealer: Sealer
    slot: bytes
    agent: Agent

    @property
    def slot_id(self) -> bytes:
        return self.slot[8:24]


@dataclass
class Site:
    config: Config
    clock: FixedClock
    made: Initialised
    vault: Vault

    @property
    def operator(self) -> Identity:
        identity = sign_in_token(self.vault, self.made.operator_token)
        assert identity is not None
        return identity

    def reopen(self) -> None:
        close_vault(self.vault)
        self.vault = open_vault(self.config, self.clock, SystemDoor())

    def crash(self) -> None:
        """The process ends without closing anything in order; then it starts again."""
        self.vault.catalog.close()
        self.vault.store.close()
        self.vault.lock.close()
        self.vault = open_vault(self.config, self.clock, SystemDoor())

    def administrator(self, name: str = "acme") -> Identity:
        created = accounts.create_account(self.vault, self.operator, name)
        identity = sign_in_token(self.vault, created.token)
        assert identity is not None
        return identity

    def agent(self, administrator: Identity, name: str = "laptop") -> Agent:
        request, spki = certificate_request()
        secret = computers.invite(self.vault, administrator, "pc").secret
        sealing_key = os.urandom(1216)
        wanted = RegistrationRequest(secret, name, request, sealing_key)
        made = computers.register(self.vault, computers.check_request(self.vault, wanted))
        identity = AgentIdentity(made.computer_id, made.account_id, Role.AGENT, name, blake3(spki).digest())
        return Agent(identity, spki, sealing_key, request)

    def job(self, administrator: Identity, agent: Agent, name: str = "home") -> Job:
        return jobs.create(self.vault, administrator, new_job(agent, name))

    def keyring(self, agent: Agent, job: Job) -> BackedUp:
        sealer = Sealer(job.account_id, job.computer_id, job.job_id, os.urandom(16))
        slot_bytes = slot(sealer.keyring_id)
        keyrings.create(self.vault, agent.identity, new_keyring(sealer, slot_bytes))
        return BackedUp(job, sealer, slot_bytes, agent)

    def begin(self, backed_up: BackedUp, base: bytes | None = None) -> runs.Begun:
        """A new run with a new key."""
        sealer = backed_up.sealer
        sealer.run_id = os.urandom(16)
        sealer.sealed_key = sealer.make_sealed_key()
        identity = backed_up.agent.identity
        if base is not None and not safesets.is_whole_base(self.vault, identity, sealer.job_id, base):
            base = None
        begun = runs.begin(self.vault, identity, sealer.job_id, sealer.run_id, base)
        runs.add_key(self.vault, identity, sealer.run_id, sealer.sealed_key)
        return begun

    def ready(self, administrator: Identity | None = None, name: str = "laptop") -> BackedUp:
        """Account, computer, job, keyring, and a run that has begun."""
        administrator = administrator or self.administrator()
        agent = self.agent(administrator, name)
        backed_up = self.keyring(agent, self.job(administrator, agent))
        self.begin(backed_up)
        return backed_up

    def upload(self, backed_up: BackedUp, *records: bytes) -> None:
        identity = backed_up.agent.identity
        facts = upload.facts(self.vault, identity, backed_up.sealer.run_id)
        upload.append(self.vault, upload.verify(facts, batch(*records)), identity)
        ledger.write(self.vault)

    def commit(self, backed_up: BackedUp, root: bytes, payload: bytes) -> Committed:
        identity = backed_up.agent.identity
        prepared = safesets.prepare(self.vault, identity, backed_up.sealer.run_id, root, payload)
        assert isinstance(prepared, Prepared)
        return safesets.commit(self.vault, identity, prepared)

    def end(self, backed_up: BackedUp) -> None:
        """As done where its safeset is there."""
        identity, run_id = backed_up.agent.identity, backed_up.sealer.run_id
        with self.vault.catalog.read() as view:
            run = read_run(view, identity.account_id, run_id)
            job = read_job(view, identity.account_id, backed_up.sealer.job_id)
        assert run is not None
        assert job is not None
        is_complete = run.sequence > 0 and job.complete_sequence == run.sequence
        runs.end(self.vault, identity, run_id, "done" if is_complete else "failed", Figures(files=1))


def make_site(path: Path, disks: int = 2) -> Site:
    names = [f"disk-{number}" for number in range(1, disks + 1)]
    config = make_config(path / "vault", {"disks": names, "name": "north", "place": "Huellhorst"})
    clock = FixedClock()
    door = SystemDoor()
    made = init_vault(InitRequest(config, 'name = "north"\n', ["localhost"]), clock, door)
    return Site(config, clock, made, open_vault(config, clock, door))


def new_job(agent: Agent, name: str = "home", definition: JobDefinition = DEFINITION, job_id: bytes = b"") -> NewJob:
    """As its creator's program sends it."""
    job_id = job_id or os.urandom(16)
    ids = (agent.identity.account_id, agent.identity.identity_id, job_id)
    return NewJob(
        job_id=job_id,
        computer=agent.identity.name,
        name=name,
        definition=definition,
        revision=1,
        creator_key=CREATOR.public_key,
        signature=CREATOR.sign_definition(ids, 1, name, definition),
        secret=job_secret(ids, agent_fingerprint(agent.spki, agent.sealing_key), CREATOR),
    )


def new_keyring(sealer: Sealer, *slots: bytes) -> NewKeyring:
    return NewKeyring(
        job_id=sealer.job_id,
        keyring_id=sealer.keyring_id,
        generation=1,
        kem=1,
        public_key=bytes(1216),
        minimum_suite=1,
        signing_key=sealer.public_signing_key,
        slots=tuple(NewSlot(one, blake3(PROOF).digest()) for one in slots),
    )


def batch(*records: bytes) -> UploadBatch:
    cids = b"".join(blake3(record).digest() for record in records)
    return UploadBatch([len(record) for record in records], cids, b"".join(records))


def certificate_request() -> tuple[bytes, bytes]:
    """(DER request, SPKI)"""
    key = ec.generate_private_key(ec.SECP256R1())
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256())
    spki = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return request.public_bytes(Encoding.DER), spki
