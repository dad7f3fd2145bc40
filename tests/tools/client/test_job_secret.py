from dataclasses import replace

import msgpack
import pytest

from tests.support.openssl import ed25519_verifies
from tests.tools.client import second_implementation as second
from tests.tools.client.vectors import load
from tools.client.agent_key import AgentKey, create_agent_key
from tools.client.creator_key import CreatorKey, create_creator_key
from tools.client.job_definition import JobAddress
from tools.client.job_secret import JobSecret, Recipient, open_job_secret, seal_job_secret
from tools.client.record_format import IntegrityError

V = load("job_secret")
KEY = AgentKey(V["tls_private_pem"].encode(), V["sealing_private"])
RECIPIENT = Recipient(KEY.sealing_public, KEY.fingerprint)
ADDRESS = JobAddress(V["account"], V["computer"], V["job"])
CREATOR = CreatorKey(V["creator_seed"])
LABEL = b"safeset job secret signature v1"


def opened(message, address=ADDRESS, key=KEY, creator=V["creator_fingerprint"]):
    return open_job_secret(message, address, key, creator)


def test_the_frozen_messages_hold():
    plaintext = second.open_job_secret(V["sealing_private"], V["message"])
    assert msgpack.unpackb(plaintext) == [V["password"], V["code"]]
    assert opened(V["message"]).message_id == V["message_id"]
    assert opened(V["message"]).secret == JobSecret(V["password"], V["code"])
    assert opened(V["message_without_code"]).secret == JobSecret("x", None)


def test_openssl_verifies_the_frozen_signatures(tmp_path):
    for message in (V["message"], V["message_without_code"]):
        assert message[-96:-64] == V["creator_key"]
        assert ed25519_verifies(tmp_path, V["creator_key"], message[-64:], LABEL + message[:-96])
        assert not ed25519_verifies(tmp_path, V["creator_key"], message[-64:], LABEL + message[:-97])


def test_the_frozen_fingerprint_of_the_creator_holds():
    assert CREATOR.public_key == V["creator_key"] == second.ed25519_public(V["creator_seed"])
    assert CREATOR.fingerprint == V["creator_fingerprint"] == second.creator_fingerprint(V["creator_seed"])
    assert V["creator_seed"].hex() not in repr(CREATOR)


def test_the_second_implementation_opens_a_new_message(tmp_path):
    secret = JobSecret("pässwörd", bytes(range(20)))
    one, two = (seal_job_secret(secret, ADDRESS, RECIPIENT, CREATOR) for _ in range(2))
    assert msgpack.unpackb(second.open_job_secret(KEY.sealing_private, one)) == ["pässwörd", bytes(range(20))]
    assert one[:56] == V["message"][:56]
    assert one[72:92] == V["fingerprint"]
    assert one[56:72] != two[56:72]
    assert ed25519_verifies(tmp_path, V["creator_key"], one[-64:], LABEL + one[:-96])
    assert opened(one).secret == secret
    assert "pässwörd" not in repr(secret)


def test_no_changed_byte_opens():
    message = V["message"]
    for position in [*range(96), *range(96, len(message), 53), *range(len(message) - 96, len(message), 7)]:
        changed = message[:position] + bytes([message[position] ^ 1]) + message[position + 1 :]
        with pytest.raises(IntegrityError):
            opened(changed)
    for cut in (b"", message[:95], message[:96], message[:192], message[:-1], message[:-96], message + b"\0"):
        with pytest.raises(IntegrityError):
            opened(cut)


def test_a_message_of_another_creator_does_not_open():
    other = create_creator_key()
    message = seal_job_secret(JobSecret("known to the vault", None), ADDRESS, RECIPIENT, other)
    with pytest.raises(IntegrityError, match="signed by another creator"):
        opened(message)
    with pytest.raises(IntegrityError, match="signature does not hold"):
        opened(message[:-96] + CREATOR.public_key + message[-64:])
    assert opened(message, creator=other.fingerprint).secret.password == "known to the vault"


@pytest.mark.parametrize("field", ["account_id", "computer_id", "job_id"])
def test_a_message_for_another_job_does_not_open(field):
    with pytest.raises(IntegrityError, match="another account, computer or job"):
        opened(V["message"], replace(ADDRESS, **{field: bytes(16)}))


def test_a_message_for_another_agent_does_not_open():
    with pytest.raises(IntegrityError, match="another agent key"):
        opened(V["message"], key=create_agent_key())


@pytest.mark.parametrize(("at", "what"), [(0, "magic"), (4, "version"), (5, "KEM"), (6, "purpose"), (92, "length")])
def test_a_header_that_is_unknown_is_refused_although_it_is_signed(at, what):
    signed = bytearray(V["message"][:-96])
    signed[at] ^= 1
    message = bytes(signed) + CREATOR.public_key + CREATOR.sign(LABEL + signed)
    with pytest.raises(IntegrityError, match=what):
        opened(message)


@pytest.mark.parametrize("plaintext", [["x"], ["x", bytes(19)], [b"x", None], ["x", None, 1], "x", ["x", "y" * 20]])
def test_a_sealed_part_that_is_something_else_is_refused(plaintext):
    ids = (V["account"], V["computer"], V["job"], V["message_id"], V["fingerprint"], V["creator_seed"])
    message = second.seal_job_secret(KEY.sealing_public, *ids, msgpack.packb(plaintext))
    with pytest.raises(IntegrityError):
        opened(message)


def test_ids_of_another_length_are_not_sealed():
    with pytest.raises(ValueError, match="16 bytes"):
        seal_job_secret(JobSecret("x", None), replace(ADDRESS, job_id=b""), RECIPIENT, CREATOR)
    with pytest.raises(ValueError, match="20 bytes"):
        seal_job_secret(JobSecret("x", None), ADDRESS, replace(RECIPIENT, fingerprint=bytes(32)), CREATOR)
