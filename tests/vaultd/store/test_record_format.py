import struct

import pytest
from blake3 import blake3

from tests.vaultd.store.fakes import KEY, KEYRING, make_companion, make_id, make_record, short_hash
from vaultd.store.errors import RecordError
from vaultd.store.record_format import RecordHeader, check_companion, cid, parse_header, parse_record


def changed(**fields):
    values = {
        "magic": b"SSR1", "version": 1, "suite": 1, "type": 1, "flags": 0,
        "keyring": KEYRING, "key": KEY, "id": make_id(1), "body_length": 3,
    } | fields  # fmt: skip
    head = struct.pack("<4sBBBB16s16s32sI", *values.values())
    return head + short_hash(head) + b"abc"


def test_a_header_is_read_field_by_field():
    assert parse_header(make_record(1, 100)) == RecordHeader(True, 1, 1, KEYRING, KEY, make_id(1), 100)


def test_cid_is_the_hash_of_the_whole_record():
    assert cid(make_record(1)) == blake3(make_record(1)).digest()


def test_a_companion_is_named_by_its_body():
    record = make_companion(b"body")
    header = parse_record(record)
    assert not header.sealed
    check_companion(header, record)
    with pytest.raises(RecordError, match="id of the companion"):
        check_companion(header, record[:-1] + b"!")


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"magic": b"\0\0\0\0"}, "magic"),
        ({"version": 2}, "version 2"),
        ({"suite": 0}, "suite 0"),
        ({"suite": 3}, "suite 3"),
        ({"type": 3}, "type 3"),
        ({"flags": 1}, "flags 1"),
        ({"body_length": 5 * 1024 * 1024}, "body_length"),
        ({"magic": b"SSC1"}, "suite 1 is not that of a companion"),
        ({"magic": b"SSC1", "suite": 0}, "type 1 is not that of a companion"),
        ({"magic": b"SSC1", "suite": 0, "type": 3}, "key of a companion"),
    ],
)
def test_a_wrong_field_is_named(fields, word):
    with pytest.raises(RecordError, match=word):
        parse_header(changed(**fields))


def test_every_flipped_byte_of_a_header_is_noticed():
    record = make_record(1, 10)
    for at in range(84):
        broken = bytearray(record)
        broken[at] ^= 1
        with pytest.raises(RecordError):
            parse_record(broken)


def test_length_must_fit():
    with pytest.raises(RecordError, match="body_length"):
        parse_record(make_record(1) + b"x")
    with pytest.raises(RecordError, match="too short"):
        parse_record(b"SSR1")
