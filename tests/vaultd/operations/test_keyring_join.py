"""A new job in the keyring of another: in one entry, against the proof, and what the other stored is present for it."""

import os
from dataclasses import replace

import pytest
from blake3 import blake3
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.vaultd.operations.sealing import DATA, Sealer, agent_fingerprint, id_of, job_secret, slot
from tests.vaultd.operations.small_site import CREATOR, PROOF, Agent, BackedUp, Site, new_job
from tests.vaultd.operations.test_check import check
from tests.vaultd.operations.test_keyring_slots import erase_key, files_with
from tests.vaultd.operations.test_restore import saved
from vaultd.errors import BadRequest, Conflict, NotFound, Throttled, WrongPassword
from vaultd.operations import jobs, keyring_join, keyring_slots, restore, runs
from vaultd.operations.jobs import NewJob
from vaultd.operations.keyring_join import Join, create_in_keyring
from vaultd.operations.keyring_slots import SlotChange
from vaultd.operations.keyrings import NewSlot
from vaultd.operations.offer import offer
from vaultd.operations.restore import OpenRequest
from vaultd.operations.rotation import JobKeys, Rotation
from vaultd.records import Identity

NEW_PROOF = bytes(range(100, 132))


@pytest.fixture
def owner(site: Site) -> Identity:
    return site.administrator()


@pytest.fixture
def member(site: Site, owner: Identity) -> BackedUp:
    """A job with a safeset."""
    backed_up = site.ready(owner)
    saved(site, backed_up)
    return backed_up


def asked(agent: Agent, name: str = "second", purpose: int = 2) -> NewJob:
    new = new_job(agent, name)
    ids = (agent.identity.account_id, agent.identity.identity_id, new.job_id)
    return replace(new, secret=job_secret(ids, agent_fingerprint(agent.spki, agent.sealing_key), CREATOR, purpose))


def join_of(member: BackedUp, signer: Ed25519PrivateKey | None = None) -> Join:
    keyring_id = member.sealer.keyring_id
    made = NewSlot(slot(keyring_id), blake3(NEW_PROOF).digest())
    change = SlotChange(keyring_id, member.slot_id, PROOF, (made,), (member.slot_id,))
    return Join(change, (signer or Ed25519PrivateKey.generate()).public_key().public_bytes_raw())


def test_what_the_other_job_stored_is_present(site: Site, owner: Identity, member: BackedUp) -> None:
    chunk = member.sealer.record(DATA, b"of both")
    site.upload(member, chunk)
    agent, number, key = site.agent(owner, "desktop"), site.vault.store.position.number, erase_key(site, member.slot_id)
    new, join, signer = asked(agent), join_of(member), Ed25519PrivateKey.generate()
    join = replace(join, signing_key=signer.public_key().public_bytes_raw())
    create_in_keyring(site.vault, owner, new, join)
    assert site.vault.store.position.number == number + 1
    create_in_keyring(site.vault, owner, new, join)
    assert site.vault.store.position.number == number + 1
    assert files_with(site, key) == []
    (seen,) = jobs.list_for_agent(site.vault, agent.identity)
    assert (seen.keyring_id, seen.secret) == (member.sealer.keyring_id, new.secret)
    found = keyring_slots.parameters(site.vault, owner, "desktop", "second")
    assert {(one.computer, one.job) for one in found.jobs} == {("desktop", "second"), ("laptop", "home")}
    sealer = Sealer(*(agent.identity.account_id, agent.identity.identity_id, new.job_id), member.sealer.keyring_id)
    sealer.signing_key = signer
    second = BackedUp(seen, sealer, join.change.slots[0].slot, agent)  # type: ignore[arg-type]
    site.begin(second)
    assert offer(site.vault, agent.identity, sealer.run_id, id_of(chunk)).missing == 0
    top = sealer.leaf([chunk])
    site.upload(second, *top)
    payload = sealer.payload(top)
    site.commit(second, sealer.root(top, payload), payload)
    site.end(second)
    runs.end(site.vault, member.agent.identity, member.sealer.run_id, "done", runs.Figures(files=1))
    assert check(site).findings == []


def test_without_the_proof_no_job_joins(site: Site, owner: Identity, member: BackedUp) -> None:
    number, join = site.vault.store.position.number, join_of(member)
    with pytest.raises(WrongPassword):
        create_in_keyring(
            site.vault, owner, asked(member.agent), replace(join, change=replace(join.change, proof=bytes(32)))
        )
    assert site.vault.store.position.number == number


def test_jobs_of_one_keyring_share_the_guesses_at_its_password(site: Site, owner: Identity, member: BackedUp) -> None:
    """However many of them lead to it: ten at once of each caller, and then one a minute."""
    names, laptop, join = ("home", "second"), member.agent.identity, join_of(member)
    create_in_keyring(site.vault, owner, asked(member.agent), join)
    slot_id = join.change.slots[0].slot[8:24]

    def restored(name: str, proof: bytes) -> None:
        restore.open_restore(site.vault, laptop, OpenRequest(None, name, slot_id, proof, 0))

    def opened(name: str, proof: bytes) -> None:
        keyring_slots.open_slot(site.vault, owner, "laptop", name, slot_id, proof)

    for attempt in (restored, opened):
        for number in range(10):
            with pytest.raises(WrongPassword):
                attempt(names[number % 2], bytes(32))
        for name in names:
            with pytest.raises(Throttled):
                attempt(name, NEW_PROOF)
    site.clock.advance(61)
    restored("home", NEW_PROOF)
    opened("second", NEW_PROOF)


def test_the_keyring_of_another_account_is_none(site: Site, owner: Identity, member: BackedUp) -> None:
    stranger = site.administrator("other")
    agent = site.agent(stranger, "theirs")
    with pytest.raises(NotFound, match="does not exist"):
        create_in_keyring(site.vault, stranger, asked(agent), join_of(member))


def test_a_join_that_cannot_be_right_is_refused(
    site: Site, owner: Identity, member: BackedUp, monkeypatch: pytest.MonkeyPatch
) -> None:
    good, new = join_of(member), asked(member.agent)
    rotation = Rotation(2, 1, os.urandom(1216), 1, (JobKeys(member.job.job_id, good.signing_key, b""),))
    wrong = {
        "a slot that lacks the newest keys must not stay": replace(good, change=replace(good.change, removed=())),
        "joins without a rotation": replace(good, change=replace(good.change, rotation=rotation)),
        "signing_key is not": replace(good, signing_key=b"x"),
    }
    for message, join in wrong.items():
        with pytest.raises(BadRequest, match=message):
            create_in_keyring(site.vault, owner, new, join)
    with pytest.raises(BadRequest, match="secret: purpose 1 is not the one"):
        create_in_keyring(site.vault, owner, asked(member.agent, purpose=1), good)
    with pytest.raises(Conflict, match="exists already"):
        create_in_keyring(site.vault, owner, asked(member.agent, "home"), good)
    monkeypatch.setattr(keyring_join, "JOBS_MAX", 1)
    with pytest.raises(Conflict, match="1 jobs already"):
        create_in_keyring(site.vault, owner, new, good)
