"""What an agent is sent after a rotation: its bytes as docs/format.md says, by other means than the code under test."""

from dataclasses import replace

import msgpack
import pytest
from blake3 import blake3
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.tools.client import second_implementation as second
from tests.tools.client.vectors import load
from tools.client.agent_key import AgentKey, create_agent_key
from tools.client.creator_key import CreatorKey
from tools.client.job_definition import JobAddress
from tools.client.job_secret import Recipient, open_new_keys, seal_new_keys
from tools.client.keyring import Keyring, create_keyring
from tools.client.new_keys import NewKeys
from tools.client.record_format import IntegrityError
from tools.client.rotate import join_keyring, rotate_keyring

JOB_ID = b"j" * 16
SECRET_BYTES_MAX = 8192  # of the vault


def rotated(keyring: Keyring, times: int) -> Keyring:
    for _ in range(times):
        keyring = rotate_keyring(keyring, [JOB_ID], new_ids=False)
    return keyring


@pytest.fixture(scope="module")
def third() -> Keyring:
    return rotated(create_keyring(JOB_ID), 2)


def test_the_bytes_are_those_of_the_page(third: Keyring) -> None:
    part, earlier = msgpack.unpackb(NewKeys.of(third, JOB_ID).encode())
    newest, seeds = third.newest, {key.from_generation: key.seed for key in third.signing}
    assert msgpack.unpackb(part) == [
        1, third.keyring_id, 1, 3, 1, newest.public_key, newest.id_key, newest.chunker_seed, seeds[3],
    ]  # fmt: skip
    expected = []
    for one in third.generations[:2]:
        marked = b"safeset known generation v1" + third.keyring_id + one.number.to_bytes(4, "little")
        marked += one.public_key + one.id_key + one.chunker_seed + seeds[one.number]
        public = Ed25519PrivateKey.from_private_bytes(seeds[one.number]).public_key().public_bytes_raw()
        expected.append([one.number, blake3(marked).digest(), public])
    assert earlier == expected


def test_the_frozen_message_holds() -> None:
    v, w = load("job_secret"), load("new_keys")
    assert w["message"][:8] == b"SSM1\1\1\2\0"
    plaintext = second.open_job_secret(v["sealing_private"], w["message"])
    newest = [w["minimum_suite"], w["newest"][0], w["kem"], *w["newest"][1:]]
    assert plaintext == w["plaintext"] == second.new_keys_plaintext(w["keyring"], newest, w["earlier"])
    agent = AgentKey(v["tls_private_pem"].encode(), v["sealing_private"])
    address = JobAddress(v["account"], v["computer"], v["job"])
    opened = open_new_keys(w["message"], address, agent, v["creator_fingerprint"])
    assert (opened.message_id, opened.keys.encode()) == (w["message_id"], plaintext)
    assert (opened.keys.unattended.generation, [one.number for one in opened.keys.earlier]) == (4, [1, 2])


def test_no_private_key_of_a_keyring_is_in_it(third: Keyring) -> None:
    data = NewKeys.of(third, JOB_ID).encode()
    for one in third.generations:
        assert one.private_key[:64] not in data
        assert one.private_key[64:] not in data
    assert third.signing[0].seed not in data


def test_a_job_that_joins_later_has_nothing_before(third: Keyring) -> None:
    keys = NewKeys.of(join_keyring(third, b"z" * 16), b"z" * 16)
    assert (keys.earlier, keys.unattended.generation) == ((), 3)


def test_after_many_rotations_the_vault_still_takes_the_message(third: Keyring) -> None:
    keys = NewKeys.of(rotated(third, 70), JOB_ID)
    assert [one.number for one in keys.earlier] == list(range(9, 73))
    agent, creator = create_agent_key(), CreatorKey(bytes(32))
    address = JobAddress(b"a" * 16, b"c" * 16, JOB_ID)
    message = seal_new_keys(keys, address, Recipient(agent.sealing_public, agent.fingerprint), creator)
    assert len(message) <= SECRET_BYTES_MAX
    assert (message[:8], message[24:56]) == (b"SSM1\1\1\2\0", b"c" * 16 + JOB_ID)
    fingerprint = blake3(b"safeset creator key v1" + creator.public_key).digest()[:20]
    assert open_new_keys(message, address, agent, fingerprint).keys == keys


def test_generations_out_of_order_are_refused(third: Keyring) -> None:
    keys = NewKeys.of(third, JOB_ID)
    first, second = keys.earlier
    for wrong in ((second, first), (first, first), (first, replace(second, number=3))):
        with pytest.raises(IntegrityError, match="out of order"):
            NewKeys.decode(replace(keys, earlier=wrong).encode())
