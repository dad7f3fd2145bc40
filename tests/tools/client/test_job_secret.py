from dataclasses import replace

import msgpack
import pytest

from tests.tools.client import second_implementation as second
from tests.tools.client.vectors import load
from tools.client.agent_key import AgentKey, create_agent_key
from tools.client.job_secret import JobAddress, JobSecret, open_job_secret, seal_job_secret
from tools.client.record_format import IntegrityError

V = load("job_secret")
KEY = AgentKey(V["tls_private_pem"].encode(), V["sealing_private"])
ADDRESS = JobAddress(V["account"], V["computer"], V["job"])


def test_the_frozen_messages_hold():
    plaintext = second.open_job_secret(V["sealing_private"], V["message"])
    assert msgpack.unpackb(plaintext) == [V["password"], V["code"]]
    opened = open_job_secret(V["message"], ADDRESS, KEY)
    assert opened.message_id == V["message_id"]
    assert opened.secret == JobSecret(V["password"], V["code"])
    assert open_job_secret(V["message_without_code"], ADDRESS, KEY).secret == JobSecret("x", None)


def test_the_second_implementation_opens_a_new_message():
    secret = JobSecret("pässwörd", bytes(range(20)))
    one, two = (seal_job_secret(secret, ADDRESS, KEY.sealing_public, KEY.fingerprint) for _ in range(2))
    assert msgpack.unpackb(second.open_job_secret(KEY.sealing_private, one)) == ["pässwörd", bytes(range(20))]
    assert one[:56] == V["message"][:56]
    assert one[72:92] == V["fingerprint"]
    assert one[56:72] != two[56:72]
    assert open_job_secret(one, ADDRESS, KEY).secret == secret
    assert "pässwörd" not in repr(secret)


def test_no_changed_byte_opens():
    message = V["message"]
    for position in [*range(96), *range(96, len(message), 53), len(message) - 1]:
        changed = message[:position] + bytes([message[position] ^ 1]) + message[position + 1 :]
        with pytest.raises(IntegrityError):
            open_job_secret(changed, ADDRESS, KEY)
    for cut in (b"", message[:95], message[:96], message[:-1], message + b"\0"):
        with pytest.raises(IntegrityError):
            open_job_secret(cut, ADDRESS, KEY)


@pytest.mark.parametrize("field", ["account_id", "computer_id", "job_id"])
def test_a_message_for_another_job_does_not_open(field):
    with pytest.raises(IntegrityError, match="another account, computer or job"):
        open_job_secret(V["message"], replace(ADDRESS, **{field: bytes(16)}), KEY)


def test_a_message_for_another_agent_does_not_open():
    with pytest.raises(IntegrityError, match="another agent key"):
        open_job_secret(V["message"], ADDRESS, create_agent_key())


@pytest.mark.parametrize("plaintext", [["x"], ["x", bytes(19)], [b"x", None], ["x", None, 1], "x", ["x", "y" * 20]])
def test_a_sealed_part_that_is_something_else_is_refused(plaintext):
    ids = (V["account"], V["computer"], V["job"], V["message_id"], V["fingerprint"])
    message = second.seal_job_secret(KEY.sealing_public, *ids, msgpack.packb(plaintext))
    with pytest.raises(IntegrityError):
        open_job_secret(message, ADDRESS, KEY)


def test_ids_of_another_length_are_not_sealed():
    with pytest.raises(ValueError, match="16 bytes"):
        seal_job_secret(JobSecret("x", None), replace(ADDRESS, job_id=b""), KEY.sealing_public, KEY.fingerprint)
    with pytest.raises(ValueError, match="20 bytes"):
        seal_job_secret(JobSecret("x", None), ADDRESS, KEY.sealing_public, bytes(32))
