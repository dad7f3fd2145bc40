"""An order to restore: its frozen messages, and what is refused of one that somebody signed."""

from dataclasses import replace

import msgpack
import pytest

from tests.support.openssl import ed25519_verifies
from tests.tools.client import second_implementation as second
from tests.tools.client.vectors import load
from tools.client.agent_key import AgentKey, create_agent_key
from tools.client.creator_key import CreatorKey, create_creator_key
from tools.client.job_definition import JobAddress
from tools.client.job_secret import (
    JobSecret,
    Recipient,
    open_job_secret,
    open_new_keys,
    open_restore_order,
    seal_job_secret,
    seal_restore_order,
)
from tools.client.record_format import IntegrityError
from tools.client.restore_order import RestoreOrder

V = load("job_secret")
ORDERS = load("restore_order")["orders"]
KEY = AgentKey(V["tls_private_pem"].encode(), V["sealing_private"])
RECIPIENT = Recipient(KEY.sealing_public, KEY.fingerprint)
ADDRESS = JobAddress(V["account"], V["computer"], V["job"])
CREATOR = CreatorKey(V["creator_seed"])
LABEL = b"safeset job secret signature v1"
DAY_NS = 24 * 3600 * 10**9
GOOD = ["pc", "documents", 3, [b"/home"], b"/back", "newer", 10**18, 10**18 + DAY_NS, "pässwörd"]


def order_of(fields):
    computer, job, sequence, paths, target, overwrite, created, expires, password = fields
    return RestoreOrder(computer, job, sequence, tuple(paths), target, overwrite, created, expires, password)


def opened(message, address=ADDRESS, key=KEY, creator=V["creator_fingerprint"]):
    return open_restore_order(message, address, key, creator)


@pytest.mark.parametrize("frozen", ORDERS)
def test_the_frozen_orders_hold(frozen, tmp_path):
    names = (
        "computer_name",
        "job_name",
        "safeset",
        "paths",
        "target",
        "overwrite",
        "created_ns",
        "expires_ns",
        "password",
    )
    fields = [frozen[name] for name in names]
    message = frozen["message"]
    assert message[:8] == b"SSM1\1\1\3\0"
    assert message[8:92] == V["account"] + V["computer"] + V["job"] + frozen["message_id"] + V["fingerprint"]
    assert second.open_job_secret(V["sealing_private"], message) == frozen["plaintext"]
    assert second.restore_order_plaintext(*fields) == frozen["plaintext"] == order_of(fields).encode()
    assert ed25519_verifies(tmp_path, V["creator_key"], message[-64:], LABEL + message[:-96])
    found = opened(message)
    assert (found.message_id, found.order) == (frozen["message_id"], order_of(fields))


def test_the_second_implementation_opens_a_new_order(tmp_path):
    order = order_of(GOOD)
    one, two = (seal_restore_order(order, ADDRESS, RECIPIENT, CREATOR) for _ in range(2))
    assert second.open_job_secret(KEY.sealing_private, one) == msgpack.packb([1, *GOOD])
    assert one[56:72] != two[56:72]
    assert ed25519_verifies(tmp_path, V["creator_key"], one[-64:], LABEL + one[:-96])
    assert opened(one).order == order
    assert "pässwörd" not in repr(order)


def test_no_changed_byte_opens():
    message = ORDERS[0]["message"]
    for position in [*range(96), *range(96, len(message), 53), *range(len(message) - 96, len(message), 7)]:
        changed = message[:position] + bytes([message[position] ^ 1]) + message[position + 1 :]
        with pytest.raises(IntegrityError):
            opened(changed)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"address": replace(ADDRESS, account_id=bytes(16))}, "another account, computer or job"),
        ({"address": replace(ADDRESS, computer_id=bytes(16))}, "another account, computer or job"),
        ({"address": replace(ADDRESS, job_id=bytes(16))}, "another account, computer or job"),
        ({"key": create_agent_key()}, "another agent key"),
        ({"creator": create_creator_key().fingerprint}, "signed by another creator"),
    ],
)
def test_an_order_for_somebody_else_does_not_open(given, sentence):
    with pytest.raises(IntegrityError, match=sentence):
        opened(ORDERS[0]["message"], **given)


def test_a_message_has_one_purpose():
    secret = seal_job_secret(JobSecret("x", None), ADDRESS, RECIPIENT, CREATOR)
    with pytest.raises(IntegrityError, match="purpose 1"):
        opened(secret)
    for open_it in (open_job_secret, open_new_keys):
        with pytest.raises(IntegrityError, match="purpose 3"):
            open_it(ORDERS[0]["message"], ADDRESS, KEY, CREATOR.fingerprint)


def changed(at, value):
    return [1, *GOOD[:at], value, *GOOD[at + 1 :]]


@pytest.mark.parametrize(
    ("plaintext", "sentence"),
    [
        ([1, *GOOD[:-1]], "not an array of 10"),
        ([1, *GOOD, 1], "not an array of 10"),
        ([2, *GOOD], "version"),
        (changed(0, b"pc"), "computer of the restore order is a bytes"),
        (changed(0, ""), "computer of the restore order has no name"),
        (changed(1, None), "job of the restore order is a NoneType"),
        (changed(1, "x" * 65), "job of the restore order has no name"),
        (changed(2, -1), "safeset of the restore order"),
        (changed(2, 2**63), "safeset of the restore order"),
        (changed(3, b"/home"), "paths of the restore order is a bytes"),
        (changed(3, ["/home"]), "path of the restore order is a str"),
        (changed(3, [b""]), "a path of the restore order is no path"),
        (changed(3, [b"/a\0b"]), "a path of the restore order is no path"),
        (changed(3, [b"/" * 4097]), "a path of the restore order is no path"),
        (changed(3, [b"/a"] * 1001), "1001 paths"),
        (changed(4, b"back"), "not an absolute path"),
        (changed(4, b"/a\0"), "a target of the restore order is no path"),
        (changed(5, "sometimes"), "overwrite rule"),
        (changed(5, []), "overwrite rule"),
        (changed(6, -1), "begin of the restore order"),
        (changed(7, 10**18), "not good for a day at most"),
        (changed(7, 10**18 + DAY_NS + 1), "not good for a day at most"),
        (changed(8, b"x"), "password of the restore order is a bytes"),
        (changed(8, ""), "password of the restore order has not 1"),
    ],
)
def test_a_signed_order_that_is_none_is_refused(plaintext, sentence):
    ids = (V["account"], V["computer"], V["job"], bytes(16), V["fingerprint"], V["creator_seed"])
    message = second.seal_job_secret(KEY.sealing_public, *ids, msgpack.packb(plaintext), purpose=3)
    with pytest.raises(IntegrityError, match=sentence):
        opened(message)
