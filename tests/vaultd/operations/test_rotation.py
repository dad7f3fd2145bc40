"""Another generation of a keyring at the vault: all in one entry, and nothing under the older keys after it."""

import os
from dataclasses import replace

import msgspec
import pytest
from blake3 import blake3
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.support.creator import Creator
from tests.vaultd.operations.sealing import DATA, agent_fingerprint, job_secret, slot
from tests.vaultd.operations.small_site import CREATOR, PROOF, BackedUp, Site, new_job
from tests.vaultd.operations.test_check import check
from tests.vaultd.operations.test_restore import saved
from vaultd.catalog.jobs import read_job, update_job
from vaultd.errors import BadRequest, Conflict
from vaultd.operations import jobs, keyring_slots, ledger, runs, safesets
from vaultd.operations.keyring_slots import SlotChange
from vaultd.operations.keyrings import NewSlot
from vaultd.operations.rotation import JobKeys, Rotation
from vaultd.records import Identity

NEW_PROOF = bytes(range(100, 132))


@pytest.fixture
def owner(site: Site) -> Identity:
    return site.administrator()


@pytest.fixture
def backed_up(site: Site, owner: Identity) -> BackedUp:
    """With a safeset, and a run that goes on."""
    backed_up = site.ready(owner)
    saved(site, backed_up)
    return backed_up


def secret_for(backed_up: BackedUp, creator: Creator = CREATOR, purpose: int = 2) -> bytes:
    job, agent = backed_up.job, backed_up.agent
    ids = (job.account_id, job.computer_id, job.job_id)
    return job_secret(ids, agent_fingerprint(agent.spki, agent.sealing_key), creator, purpose)


def change_of(backed_up: BackedUp, signer: Ed25519PrivateKey, secret: bytes = b"") -> SlotChange:
    keyring_id = backed_up.sealer.keyring_id
    made = NewSlot(slot(keyring_id, generation=2), blake3(NEW_PROOF).digest())
    keys = JobKeys(backed_up.job.job_id, signer.public_key().public_bytes_raw(), secret or secret_for(backed_up))
    rotation = Rotation(2, 1, os.urandom(1216), 1, (keys,))
    return SlotChange(keyring_id, backed_up.slot_id, PROOF, (made,), (backed_up.slot_id,), rotation)


def rotate(site: Site, owner: Identity, change: SlotChange) -> None:
    keyring_slots.change_slots(site.vault, owner, "laptop", "home", change)


def test_all_of_it_is_one_entry_and_a_repeat_is_none(site: Site, owner: Identity, backed_up: BackedUp) -> None:
    change, number = change_of(backed_up, Ed25519PrivateKey.generate()), site.vault.store.position.number
    rotate(site, owner, change)
    assert site.vault.store.position.number == number + 1
    rotate(site, owner, change)
    assert site.vault.store.position.number == number + 1
    assert keyring_slots.parameters(site.vault, owner, "laptop", "home").generation == 2
    assert change.rotation is not None
    (seen,) = jobs.list_for_agent(site.vault, backed_up.agent.identity)
    assert seen.secret == change.rotation.jobs[0].secret


def test_a_run_of_before_makes_no_safeset(site: Site, owner: Identity, backed_up: BackedUp) -> None:
    """Its agent begins again, and what it sent is there."""
    site.begin(backed_up)
    chunk = backed_up.sealer.record(DATA, b"sent before")
    top = backed_up.sealer.leaf([chunk])
    site.upload(backed_up, chunk, *top)
    payload = backed_up.sealer.payload(top)
    head = jobs.list_for_agent(site.vault, backed_up.agent.identity)[0]
    root = backed_up.sealer.root(top, payload, sequence=2, previous=head.head_hash)
    identity, signer = backed_up.agent.identity, Ed25519PrivateKey.generate()
    prepared = safesets.prepare(site.vault, identity, backed_up.sealer.run_id, root, payload)
    rotate(site, owner, change_of(backed_up, signer))
    with pytest.raises(Conflict, match="has ended as aborted"):
        safesets.commit(site.vault, identity, prepared)  # type: ignore[arg-type]
    with pytest.raises(Conflict, match="has ended as aborted"):
        safesets.prepare(site.vault, identity, backed_up.sealer.run_id, root, payload)
    backed_up.sealer.run_id = os.urandom(16)
    runs.begin(site.vault, identity, backed_up.job.job_id, backed_up.sealer.run_id, None)
    with pytest.raises(Conflict, match="the keyring has generation 2 by now, not 1"):
        runs.add_key(site.vault, identity, backed_up.sealer.run_id, backed_up.sealer.make_sealed_key())
    assert jobs.list_for_agent(site.vault, identity)[0].secret is not None
    backed_up.sealer.sealed_key = backed_up.sealer.make_sealed_key(2)
    runs.add_key(site.vault, identity, backed_up.sealer.run_id, backed_up.sealer.sealed_key)
    assert jobs.list_for_agent(site.vault, identity)[0].secret is None
    fields = {"sequence": 2, "previous": head.head_hash, "generation": 2}
    payload = backed_up.sealer.payload(top)
    site.commit(backed_up, backed_up.sealer.root(top, payload, **fields, signer=signer), payload)


@pytest.mark.parametrize("older", ["generation", "signer"])
def test_a_root_under_the_older_keys_is_refused(site: Site, owner: Identity, backed_up: BackedUp, older: str) -> None:
    signer = Ed25519PrivateKey.generate()
    rotate(site, owner, change_of(backed_up, signer))
    identity, sealer = backed_up.agent.identity, backed_up.sealer
    sealer.run_id = os.urandom(16)
    runs.begin(site.vault, identity, sealer.job_id, sealer.run_id, None)
    sealer.sealed_key = sealer.make_sealed_key(2)
    runs.add_key(site.vault, identity, sealer.run_id, sealer.sealed_key)
    top = sealer.leaf([])
    site.upload(backed_up, *top)
    payload = sealer.payload(top)
    fields: dict[str, object] = {"sequence": 2, "generation": 2, "signer": signer}
    fields |= {"generation": 1} if older == "generation" else {"signer": sealer.signing_key}
    with pytest.raises(BadRequest, match=older.replace("signer", "signature")):
        safesets.prepare(site.vault, identity, sealer.run_id, sealer.root(top, payload, **fields), payload)


def test_a_rotation_that_cannot_be_right_is_refused(site: Site, owner: Identity, backed_up: BackedUp) -> None:
    good = change_of(backed_up, Ed25519PrivateKey.generate())
    assert good.rotation is not None
    rotation = good.rotation
    keys = rotation.jobs[0]

    def with_secret(secret: bytes) -> Rotation:
        return replace(rotation, jobs=(replace(keys, secret=secret),))

    wrong = {
        "does not follow 1": replace(rotation, generation=3),
        "not exactly the jobs": replace(rotation, jobs=(replace(keys, job_id=os.urandom(16)),)),
        "public_key must have 1216": replace(rotation, public_key=bytes(32)),
        "signing_key is not an Ed25519": replace(rotation, jobs=(replace(keys, signing_key=b"x"),)),
        "secret: purpose 1 is not the one": with_secret(secret_for(backed_up, purpose=1)),
        "secret: creator_key": with_secret(secret_for(backed_up, Creator())),
    }
    for message, asked in wrong.items():
        with pytest.raises((BadRequest, Conflict), match=message):
            rotate(site, owner, replace(good, rotation=asked))
    with pytest.raises(BadRequest, match="a slot that lacks the newest keys must not stay"):
        rotate(site, owner, replace(good, removed=()))
    with pytest.raises(BadRequest, match="keyring or generation is not"):
        rotate(site, owner, replace(good, rotation=None))
    assert keyring_slots.parameters(site.vault, owner, "laptop", "home").generation == 1


def test_a_new_job_takes_no_keys_for_a_secret(site: Site, owner: Identity, backed_up: BackedUp) -> None:
    """Else its agent would wait for a keyring that nobody makes."""
    asked = new_job(backed_up.agent, "other")
    ids = (backed_up.job.account_id, backed_up.job.computer_id, asked.job_id)
    agent = backed_up.agent
    secret = job_secret(ids, agent_fingerprint(agent.spki, agent.sealing_key), CREATOR, 2)
    with pytest.raises(BadRequest, match="secret: purpose 2 is not the one"):
        jobs.create(site.vault, owner, replace(asked, secret=secret))


def test_the_check_knows_which_key_signed_in_which_generation(site: Site, owner: Identity, backed_up: BackedUp) -> None:
    """A safeset of each; and one of the older generation, that the newer key signed, is damage."""
    signer, identity, sealer = Ed25519PrivateKey.generate(), backed_up.agent.identity, backed_up.sealer
    rotate(site, owner, change_of(backed_up, signer))
    sealer.run_id = os.urandom(16)
    runs.begin(site.vault, identity, sealer.job_id, sealer.run_id, None)
    sealer.sealed_key = sealer.make_sealed_key(2)
    runs.add_key(site.vault, identity, sealer.run_id, sealer.sealed_key)
    top = sealer.leaf([])
    site.upload(backed_up, *top)
    payload = sealer.payload(top)
    (seen,) = jobs.list_for_agent(site.vault, identity)
    root = sealer.root(top, payload, sequence=2, generation=2, previous=seen.head_hash, signer=signer)
    site.commit(backed_up, root, payload)
    assert problems(site) == []
    with site.vault.catalog.read() as view:
        job = read_job(view, backed_up.job.account_id, backed_up.job.job_id)
    assert job is not None
    exchanged = ((1, signer.public_key().public_bytes_raw()),)
    ledger.record(site.vault, update_job(msgspec.structs.replace(job, earlier_signers=exchanged)))
    assert [one for one in problems(site) if "safeset 1" in one] == [
        "account acme, computer laptop, job home, safeset 1: the job's signature does not hold"
    ]


def problems(site: Site) -> list[str]:
    return [f"{finding.place}: {finding.sentence}" for finding in check(site).findings]


def test_a_slot_that_cannot_be_read_goes_too(site: Site, owner: Identity) -> None:
    """Nobody who asks can name it: it would keep the keys from ever being rotated."""
    agent = site.agent(owner)
    backed_up = site.keyring(agent, site.job(owner, agent))
    lost = NewSlot(slot(backed_up.sealer.keyring_id, kind=2), bytes(32))
    made = NewSlot(slot(backed_up.sealer.keyring_id), blake3(PROOF).digest())
    both = SlotChange(backed_up.sealer.keyring_id, backed_up.slot_id, PROOF, (made, lost), (backed_up.slot_id,))
    keyring_slots.change_slots(site.vault, owner, "laptop", "home", both)
    for directory in site.vault.store.disks.copy_directories("erase-keys"):
        (directory / f"{lost.slot[8:24].hex()}.key").unlink()
    backed_up.slot = made.slot
    rotate(site, owner, change_of(backed_up, Ed25519PrivateKey.generate()))
    with site.vault.catalog.read() as view:
        assert len(list(view.scan("slots"))) == 2
    assert keyring_slots.parameters(site.vault, owner, "laptop", "home").generation == 2
