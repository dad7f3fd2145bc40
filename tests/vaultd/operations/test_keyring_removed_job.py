"""A keyring with a job that was removed: it goes on being changed without that job, whose safesets stay open."""

import os

import pytest
from blake3 import blake3
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.vaultd.operations.sealing import DATA, Sealer, agent_fingerprint, id_of, job_secret, slot
from tests.vaultd.operations.small_site import CREATOR, Agent, BackedUp, Site
from tests.vaultd.operations.test_check import check
from tests.vaultd.operations.test_keyring_join import NEW_PROOF, asked, join_of
from tests.vaultd.operations.test_restore import request, saved
from vaultd.catalog.jobs import read_job, read_secret
from vaultd.errors import Conflict
from vaultd.operations import fetch, grants, jobs, keyring_join, keyring_slots, removal, restore
from vaultd.operations.grants import Granting
from vaultd.operations.keyring_join import Join, create_in_keyring
from vaultd.operations.keyring_slots import SlotChange
from vaultd.operations.keyrings import NewSlot
from vaultd.operations.rotation import JobKeys, Rotation
from vaultd.records import Identity

LAST_PROOF = bytes(range(200, 232))


@pytest.fixture
def owner(site: Site) -> Identity:
    return site.administrator()


@pytest.fixture
def member(site: Site, owner: Identity) -> BackedUp:
    """A job with a safeset."""
    backed_up = site.ready(owner)
    saved(site, backed_up)
    site.end(backed_up)
    return backed_up


def joined(site: Site, owner: Identity, member: BackedUp, agent: Agent) -> BackedUp:
    """Another job in the keyring of the member; a run of it goes on."""
    new, signer = asked(agent), Ed25519PrivateKey.generate()
    join = join_of(member, signer)
    job = create_in_keyring(site.vault, owner, new, join)
    sealer = Sealer(agent.identity.account_id, job.computer_id, job.job_id, member.sealer.keyring_id)
    sealer.signing_key = signer
    backed_up = BackedUp(job, sealer, join.change.slots[0].slot, agent)
    site.begin(backed_up)
    return backed_up


def rotation_of(second: BackedUp, working: BackedUp) -> SlotChange:
    """Of the keyring as the second job left it, with new keys for the working one only."""
    job, agent, keyring_id = working.job, working.agent, working.sealer.keyring_id
    ids = (job.account_id, job.computer_id, job.job_id)
    secret = job_secret(ids, agent_fingerprint(agent.spki, agent.sealing_key), CREATOR, 2)
    keys = JobKeys(job.job_id, Ed25519PrivateKey.generate().public_key().public_bytes_raw(), secret)
    made = NewSlot(slot(keyring_id, generation=2), blake3(LAST_PROOF).digest())
    rotation = Rotation(2, 1, os.urandom(1216), 1, (keys,))
    return SlotChange(keyring_id, second.slot_id, NEW_PROOF, (made,), (second.slot_id,), rotation)


def test_a_removed_job_keeps_no_rotation_up(site: Site, owner: Identity, member: BackedUp) -> None:
    """Its computer was stolen, and another one has its name by now: nobody can seal anything for the old one."""
    second = joined(site, owner, member, site.agent(owner, "desktop"))
    removal.remove_computer(site.vault, owner, "desktop")
    site.agent(owner, "desktop")
    found = keyring_slots.parameters(site.vault, owner, "laptop", "home")
    assert [(one.computer, one.job) for one in found.jobs] == [("laptop", "home")]
    keyring_slots.change_slots(site.vault, owner, "laptop", "home", rotation_of(second, member))
    assert keyring_slots.parameters(site.vault, owner, "laptop", "home").generation == 2
    (seen,) = jobs.list_for_agent(site.vault, member.agent.identity)
    assert seen.secret is not None
    with site.vault.catalog.read() as view:
        job = read_job(view, second.job.account_id, second.job.job_id)
        assert job is not None
        assert (job.earlier_signers, read_secret(view, job)) == ((), None)


def test_safesets_of_a_removed_job_restore_after_a_rotation(site: Site, owner: Identity, member: BackedUp) -> None:
    """With the new password; their roots hold under the key that the job had."""
    second = joined(site, owner, member, site.agent(owner, "desktop"))
    chunk = second.sealer.record(DATA, b"of the second")
    top = second.sealer.leaf([chunk])
    site.upload(second, chunk, *top)
    payload = second.sealer.payload(top)
    root = second.sealer.root(top, payload)
    site.commit(second, root, payload)
    removal.remove_job(site.vault, owner, "desktop", "second")
    change = rotation_of(second, member)
    keyring_slots.change_slots(site.vault, owner, "laptop", "home", change)
    grants.give(site.vault, owner, Granting("desktop", "second", "laptop"), 7)
    ask = request(
        member, computer="desktop", job="second", slot_id=change.slots[0].slot[8:24], proof=LAST_PROOF, sequence=1
    )
    opened = restore.open_restore(site.vault, member.agent.identity, ask)
    assert (opened.root, set(opened.slots)) == (root, {change.slots[0].slot})
    stream = fetch.open_fetch(site.vault, member.agent.identity, opened.ticket)
    assert stream.fetch([id_of(chunk)], 1 << 20).records == [chunk]
    assert check(site).findings == []


def test_a_removed_job_takes_no_place_in_the_keyring(
    site: Site, owner: Identity, member: BackedUp, monkeypatch: pytest.MonkeyPatch
) -> None:
    second = joined(site, owner, member, site.agent(owner, "desktop"))
    made = NewSlot(slot(member.sealer.keyring_id), blake3(LAST_PROOF).digest())
    change = SlotChange(member.sealer.keyring_id, second.slot_id, NEW_PROOF, (made,), (second.slot_id,))
    join = Join(change, Ed25519PrivateKey.generate().public_key().public_bytes_raw())
    new = asked(member.agent, "third")
    monkeypatch.setattr(keyring_join, "JOBS_MAX", 2)
    with pytest.raises(Conflict, match="2 jobs already"):
        create_in_keyring(site.vault, owner, new, join)
    removal.remove_job(site.vault, owner, "desktop", "second")
    create_in_keyring(site.vault, owner, new, join)
    found = keyring_slots.parameters(site.vault, owner, "laptop", "home")
    assert {one.job for one in found.jobs} == {"home", "third"}
