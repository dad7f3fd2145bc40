"""What clients do to a vault, as steps that may be repeated until they went through; each tells the model what it asks
for and what was acknowledged.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pytest
from blake3 import blake3
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.support.acknowledged import Acknowledged, Facts, record_facts
from tests.support.disk_faults import no_faults
from tests.support.simulated_vault import SimulatedVault, State
from tests.vaultd.operations.sealing import DATA, Sealer, agent_fingerprint, id_of, job_secret, slot
from tests.vaultd.operations.small_site import CREATOR, PROOF, Agent, BackedUp, new_job, new_keyring
from vaultd.operations import accounts, jobs, keyring_slots, keyrings, runs, safesets
from vaultd.operations.jobs import NewJob
from vaultd.operations.keyring_slots import SlotChange
from vaultd.operations.keyrings import NewSlot
from vaultd.operations.rotation import JobKeys, Rotation
from vaultd.operations.safesets import Prepared
from vaultd.operations.sign_in import sign_in_token
from vaultd.operations.vault import close_vault, write_checkpoint
from vaultd.records import Figures, Identity
from vaultd.store.disk_door import read_file
from vaultd.store.erase_keys.file import Owner, OwnerKind
from vaultd.store.errors import StoreError

Operation = Callable[[SimulatedVault, Acknowledged], None]
CHUNK_SIZES = (300, 5000, 20_000)


@dataclass
class Base:
    """A stopped vault with one safeset, a run that has begun since, and a second job that has no keyring yet."""

    state: State
    model: Acknowledged
    administrator: Identity
    backed_up: BackedUp
    second: NewJob
    plaintexts: list[bytes]  # of the safeset's chunks
    chunks: list[bytes]
    root: bytes

    def seal(self, *sizes: int) -> list[bytes]:
        """New chunks."""
        return [self.backed_up.sealer.record(DATA, os.urandom(size)) for size in sizes]


def make_base(world: SimulatedVault) -> Base:
    model = Acknowledged()
    administrator = new_administrator(world, model, "acme")
    agent = world.agent(administrator)
    model.agents[agent.identity.identity_id] = agent.identity
    second = new_job(agent, "photos")
    creating(administrator, second)(world, model)
    first = new_job(agent, "home")
    with model.expecting(job_facts(first)):
        job = jobs.create(world.vault, administrator, first)
    backed_up = world.keyring(agent, job)
    model.asked["slots", backed_up.sealer.keyring_id] = [backed_up.slot] * 2
    beginning(backed_up)(world, model)
    plaintexts = [os.urandom(size) for size in CHUNK_SIZES]
    chunks = [backed_up.sealer.record(DATA, plaintext) for plaintext in plaintexts]
    uploading(backed_up, *chunks)(world, model)
    commit = committing(backed_up, chunks, 1, bytes(32))
    commit(world, model)
    beginning(backed_up)(world, model)
    model.judge(world.vault)
    root = model.kept["safeset", job.job_id, 1]
    return Base(world.save(), model, administrator, backed_up, second, plaintexts, chunks, root)


def new_administrator(world: SimulatedVault, model: Acknowledged, account: str) -> Identity:
    opening_account(world.operator, account)(world, model)
    (token,) = [name[1] for name in model.kept if name[0] == "token"]
    identity = sign_in_token(world.vault, token)
    assert identity is not None
    return identity


def job_facts(new: NewJob) -> Facts:
    return {("job", new.job_id): (new.name, new.definition, new.signature)}


def creating(administrator: Identity, new: NewJob) -> Operation:
    def create(world: SimulatedVault, model: Acknowledged) -> None:
        with model.expecting(job_facts(new)):
            jobs.create(world.vault, administrator, new)

    return create


def keyring_for(base: Base) -> Operation:
    return keyring_for_job(base.backed_up.agent, base.second)


def keyring_for_job(agent: Agent, new: NewJob) -> Operation:
    """With two slots."""
    sealer = Sealer(agent.identity.account_id, agent.identity.identity_id, new.job_id, os.urandom(16))
    slots = [slot(sealer.keyring_id), slot(sealer.keyring_id, kind=2)]
    keyring = new_keyring(sealer, *slots)

    def create(world: SimulatedVault, model: Acknowledged) -> None:
        with model.expecting({("slots", sealer.keyring_id): sorted(slots * 2)}):
            keyrings.create(world.vault, agent.identity, keyring)

    return create


@dataclass(eq=False)
class EitherOf:
    """Until a change is acknowledged."""

    values: tuple[object, object]

    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        return other in self.values


def changing_slots(base: Base) -> Operation:
    """Another password: the old slot or the new one opens, and in the end the erase key of the old one is nowhere."""
    return _changing(base, slot(base.backed_up.sealer.keyring_id), None)


def rotating(base: Base) -> Operation:
    """The same with newer keys; the run that has begun is over then."""
    backed_up = base.backed_up
    job, agent = backed_up.job, backed_up.agent
    ids = (job.account_id, job.computer_id, job.job_id)
    secret = job_secret(ids, agent_fingerprint(agent.spki, agent.sealing_key), CREATOR, 2)
    keys = JobKeys(job.job_id, Ed25519PrivateKey.generate().public_key().public_bytes_raw(), secret)
    rotation = Rotation(2, 1, bytes(1216), 1, (keys,))
    return _changing(base, slot(backed_up.sealer.keyring_id, generation=2), rotation)


def _changing(base: Base, new: bytes, rotation: Rotation | None) -> Operation:
    backed_up = base.backed_up
    keyring_id = backed_up.sealer.keyring_id
    made = NewSlot(new, blake3(bytes(range(32, 64))).digest())
    change = SlotChange(keyring_id, backed_up.slot_id, PROOF, (made,), (backed_up.slot_id,), rotation)
    name = ("slots", keyring_id)

    def change_slots(world: SimulatedVault, model: Acknowledged) -> None:
        if model.asked[name] != [new] * 2 or isinstance(model.asked[name], EitherOf):
            model.asked[name] = EitherOf(([backed_up.slot] * 2, [new] * 2))
        keyring_slots.change_slots(world.vault, base.administrator, "laptop", "home", change)
        model.told({name: [new] * 2})
        with pytest.raises(StoreError, match="erased for ever"):
            world.vault.erase_keys.load(Owner(OwnerKind.slot, backed_up.slot_id))
        world.door.faults = no_faults()
        files = [path for disk in world.disks for path in disk.files() if path.stem == backed_up.slot_id.hex()]
        assert {read_file(world.door, path)[24:56] for path in files} == {bytes(32)}

    return change_slots


def beginning(backed_up: BackedUp) -> Operation:
    """A run, and its key. The sealer goes on with that key."""
    sealer, identity = backed_up.sealer, backed_up.agent.identity
    sealer.run_id = run_id = os.urandom(16)
    sealer.sealed_key = sealed_key = sealer.make_sealed_key()
    key_id = sealer.key_id

    def begin(world: SimulatedVault, model: Acknowledged) -> None:
        with model.expecting({("run", run_id): sealer.job_id}):
            runs.begin(world.vault, identity, sealer.job_id, run_id, None)
        with model.expecting({("run key", key_id): sealed_key}):
            runs.add_key(world.vault, identity, run_id, sealed_key)

    return begin


def ending(backed_up: BackedUp) -> Operation:
    identity, run_id = backed_up.agent.identity, backed_up.sealer.run_id
    figures = Figures(files=3, new_chunks=2, new_bytes=5300, warnings=1, codes={"unreadable": 1})

    def end(world: SimulatedVault, model: Acknowledged) -> None:
        with model.expecting({("ended", run_id): ("failed", figures)}):
            runs.end(world.vault, identity, run_id, "failed", figures)

    return end


def uploading(backed_up: BackedUp, *records: bytes, repeated: Sequence[bytes] = ()) -> Operation:
    """One batch, acknowledged by one group commit; `repeated` are of known ids, and the first of an id wins."""

    def upload(world: SimulatedVault, model: Acknowledged) -> None:
        with model.expecting(record_facts(backed_up, records)):
            world.upload(backed_up, *records, *repeated)

    return upload


def committing(backed_up: BackedUp, chunks: list[bytes], number: int, previous: bytes) -> Operation:
    """A safeset of these chunks: its tree is sent, then its root."""
    sealer = backed_up.sealer
    top = sealer.leaf(chunks)
    payload = sealer.payload(top)
    root = sealer.root(top, payload, sequence=number, previous=previous)
    used = [id_of(record) for record in (*chunks, *top, payload)]
    identity, run_id = backed_up.agent.identity, sealer.run_id

    def commit(world: SimulatedVault, model: Acknowledged) -> None:
        uploading(backed_up, *top)(world, model)
        model.used[root] = used
        facts: Facts = record_facts(backed_up, [payload])
        with model.expecting({**facts, ("safeset", sealer.job_id, number): root}):
            prepared = safesets.prepare(world.vault, identity, run_id, root, payload)
            if isinstance(prepared, Prepared):
                safesets.commit(world.vault, identity, prepared)

    return commit


def opening_account(administrator: Identity, name: str) -> Operation:
    def create(world: SimulatedVault, model: Acknowledged) -> None:
        if name not in [row.name for row in accounts.list_all(world.vault)]:
            with model.expecting({("account", name): True}):
                created = accounts.create_account(world.vault, world.operator, name)
            model.told({("token", created.token): (created.account_id, "administrator")})

    return create


def checkpoint(world: SimulatedVault, model: Acknowledged) -> None:
    write_checkpoint(world.vault)


def closing(world: SimulatedVault, model: Acknowledged) -> None:
    close_vault(world.vault)
    world.start(world.door.faults)
