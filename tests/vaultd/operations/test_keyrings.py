"""Keyrings: slots are checked as far as the vault can see, kept twice and wrapped; the job's secret goes."""

import dataclasses
import os
from pathlib import Path

import msgpack
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tests.vaultd.operations.sealing import Sealer, slot
from tests.vaultd.operations.small_site import Agent, Site, new_keyring
from vaultd.errors import BadRequest, Conflict, NotFound
from vaultd.operations import jobs, keyrings
from vaultd.operations.keyrings import NewKeyring
from vaultd.records import Job


@pytest.fixture
def waiting(site: Site) -> tuple[Agent, Job, Sealer]:
    administrator = site.administrator()
    agent = site.agent(administrator)
    job = site.job(administrator, agent)
    return agent, job, Sealer(job.account_id, job.computer_id, job.job_id, os.urandom(16))


def test_the_secret_is_gone_and_the_keyring_is_there(site: Site, waiting: tuple[Agent, Job, Sealer]) -> None:
    agent, job, sealer = waiting
    keyrings.create(site.vault, agent.identity, new_keyring(sealer, slot(sealer.keyring_id)))
    (seen,) = jobs.list_for_agent(site.vault, agent.identity)
    assert (seen.secret, seen.keyring_id) == (None, sealer.keyring_id)


def test_slots_lie_twice_and_never_as_they_were_sent(site: Site, waiting: tuple[Agent, Job, Sealer]) -> None:
    agent, job, sealer = waiting
    sent = slot(sealer.keyring_id)
    keyrings.create(site.vault, agent.identity, new_keyring(sealer, sent))
    with site.vault.catalog.read() as view:
        rows = dict(view.scan("slots", job.account_id + sealer.keyring_id))
    assert sorted(rows) == [job.account_id + sealer.keyring_id + sent[8:24] + bytes([copy]) for copy in (0, 1)]
    assert len(set(rows.values())) == 2
    for path in site.config.directory.rglob("*"):
        assert not path.is_file() or sent[120:160] not in path.read_bytes()


def test_each_slot_lies_under_an_erase_key_of_its_own(site: Site, waiting: tuple[Agent, Job, Sealer]) -> None:
    """So an old slot can be destroyed, and the others of its keyring and all run keys stay."""
    agent, job, sealer = waiting
    first, second = slot(sealer.keyring_id), slot(sealer.keyring_id, kind=2)
    keyrings.create(site.vault, agent.identity, new_keyring(sealer, first, second))
    directory = site.vault.store.disks.copy_directories("erase-keys")[0]
    for owner in (job.job_id, first[8:24], second[8:24]):
        assert (directory / f"{owner.hex()}.key").exists()
    for path in directory.glob(f"{first[8:24].hex()}.key*"):
        path.unlink()
    with site.vault.catalog.read() as view:
        rows = {key[32:48]: msgpack.unpackb(value) for key, value in view.scan("slots", job.account_id)}
    assert unwrapped(directory, second[8:24], rows) == second


def unwrapped(directory: Path, slot_id: bytes, rows: dict[bytes, list[bytes]]) -> bytes:
    """As docs/format.md says it is done."""
    key = (directory / f"{slot_id.hex()}.key").read_bytes()[24:56]
    wrapped = rows[slot_id][1]
    assert wrapped[5] == 3
    assert wrapped[8:24] == slot_id
    return AESGCM(key).decrypt(wrapped[32:44], wrapped[44:], wrapped[:24] + b"slot" + slot_id)


@pytest.mark.parametrize("taken", ["job", "keyring", "other slot"])
def test_a_slot_id_that_names_something_else_is_refused(
    site: Site, waiting: tuple[Agent, Job, Sealer], taken: str
) -> None:
    """Else destroying one would destroy both."""
    agent, job, sealer = waiting
    victim = site.ready(site.administrator("victim"))
    with site.vault.catalog.read() as view:
        other = next(key[32:48] for key, _ in view.scan("slots"))
    ids = {"job": victim.job.job_id, "keyring": sealer.keyring_id, "other slot": other}
    with pytest.raises(Conflict, match="slot_id .* cannot be used"):
        keyrings.create(site.vault, agent.identity, new_keyring(sealer, slot(sealer.keyring_id, slot_id=ids[taken])))


def test_a_repeat_changes_nothing_and_another_keyring_is_refused(
    site: Site, waiting: tuple[Agent, Job, Sealer]
) -> None:
    agent, job, sealer = waiting
    new = new_keyring(sealer, slot(sealer.keyring_id))
    keyrings.create(site.vault, agent.identity, new)
    number = site.vault.store.position.number
    site.clock.advance(5)
    keyrings.create(site.vault, agent.identity, new)
    assert site.vault.store.position.number == number
    other = Sealer(job.account_id, job.computer_id, job.job_id, os.urandom(16))
    with pytest.raises(Conflict, match="job 'home' has a keyring already"):
        keyrings.create(site.vault, agent.identity, new_keyring(other, slot(other.keyring_id)))


def test_a_keyring_of_another_account_cannot_be_claimed(site: Site, waiting: tuple[Agent, Job, Sealer]) -> None:
    """Records are indexed by keyring: whoever could claim the id could fetch them."""
    victim = site.ready(site.administrator("victim"))
    agent, job, _ = waiting
    thief = Sealer(job.account_id, job.computer_id, job.job_id, victim.sealer.keyring_id)
    with pytest.raises(Conflict, match="cannot be used"):
        keyrings.create(site.vault, agent.identity, new_keyring(thief, slot(thief.keyring_id)))


def bad_checksum(keyring_id: bytes) -> bytes:
    good = slot(keyring_id)
    return good[:-1] + bytes([good[-1] ^ 1])


def test_damaged_foreign_or_missing_slots_are_refused(site: Site, waiting: tuple[Agent, Job, Sealer]) -> None:
    agent, _, sealer = waiting
    keyring_id = sealer.keyring_id
    same = slot(keyring_id)
    cases = {
        "checksum does not hold": [bad_checksum(keyring_id)],
        "keyring or generation is not": [slot(os.urandom(16))],
        "is there twice": [same, same],
        "slots must be 1 to 8, not 0": [],
        "one must be a password slot": [slot(keyring_id, kind=2)],
        "kind 3 is unknown": [slot(keyring_id, kind=3)],
        "not the length of a slot": [b"SSK1"],
    }
    for message, slots in cases.items():
        with pytest.raises(BadRequest, match=message):
            keyrings.create(site.vault, agent.identity, new_keyring(sealer, *slots))
    assert jobs.list_for_agent(site.vault, agent.identity)[0].secret is not None


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"kem": 9}, "kem 9 is unknown"),
        ({"kem": 2}, "public_key must have 32 bytes, not 1216"),
        ({"minimum_suite": 0}, "minimum_suite 0 is unknown"),
        ({"generation": 2}, "generation of a new keyring must be 1"),
        ({"signing_key": b"x"}, "signing_key is not an Ed25519 public key"),
    ],
)
def test_a_keyring_that_cannot_be_right_is_refused(
    site: Site, waiting: tuple[Agent, Job, Sealer], changed: dict[str, object], message: str
) -> None:
    agent, _, sealer = waiting
    new: NewKeyring = dataclasses.replace(new_keyring(sealer, slot(sealer.keyring_id)), **changed)
    with pytest.raises(BadRequest, match=message):
        keyrings.create(site.vault, agent.identity, new)


def test_a_job_of_another_computer_does_not_exist(site: Site) -> None:
    administrator = site.administrator()
    backed_up = site.ready(administrator, "one")
    second = site.agent(administrator, "two")
    sealer = backed_up.sealer
    with pytest.raises(NotFound, match=f"job {sealer.job_id.hex()} does not exist"):
        keyrings.create(site.vault, second.identity, new_keyring(sealer, slot(sealer.keyring_id)))
