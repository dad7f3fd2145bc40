import pytest

from tests.tools.client import second_implementation as second
from tools.client.record_format import (
    HEADER_BYTES,
    RECORD_MAGIC,
    LaterVersion,
    RecordHeader,
    chunk_id,
    cid,
    kdf,
    pack_header,
    parse_header,
    record_keys,
)

KEY = bytes(range(32))
HEADER = RecordHeader(RECORD_MAGIC, 1, 2, b"r" * 16, b"k" * 16, b"i" * 32, 5)


def test_the_header_is_the_one_of_the_page():
    packed = pack_header(HEADER)
    assert packed == second.record_header(b"SSR1", 1, 2, b"r" * 16, b"k" * 16, b"i" * 32, 5)
    assert len(packed) == HEADER_BYTES == 84
    assert parse_header(packed + b"12345") == HEADER


@pytest.mark.parametrize("position", range(84))
def test_every_byte_of_the_header_is_checked(position):
    record = bytearray(pack_header(HEADER) + b"12345")
    record[position] ^= 1
    with pytest.raises(ValueError, match="checksum"):
        parse_header(record)


@pytest.mark.parametrize(
    ("at", "value", "field", "error"),
    [
        (0, 0x54, "magic", ValueError),
        (4, 2, "version", LaterVersion),
        (5, 3, "suite", LaterVersion),
        (6, 5, "type", LaterVersion),
        (7, 1, "flags", LaterVersion),
        (72, 4, "body_length", ValueError),
    ],
)
def test_a_header_that_was_written_wrong_is_named(at, value, field, error):
    checked = bytearray(pack_header(HEADER)[:76])
    checked[at] = value
    with pytest.raises(error, match=field):
        parse_header(bytes(checked) + second.b3(bytes(checked))[:8] + b"12345")


@pytest.mark.parametrize("length", [0, 1, 83, 84, 88, 90])
def test_a_record_of_another_length_is_refused(length):
    with pytest.raises(ValueError, match=r"bytes|body_length"):
        parse_header((pack_header(HEADER) + b"123456")[:length])


def test_ids_and_keys_are_those_of_the_page():
    for type in (1, 2, 4):
        assert chunk_id(KEY, type, b"content") == second.chunk_id(KEY, type, b"content")
        assert record_keys(KEY, 1, type, b"i" * 32) == second.record_keys(KEY, 1, type, b"i" * 32)
    assert kdf(KEY, b"label", 96) == second.b3(b"label", KEY, 96)
    assert cid(b"record") == second.b3(b"record")
    assert chunk_id(KEY, 1, memoryview(b"xcontent")[1:]) == chunk_id(KEY, 1, bytearray(b"content"))
