import struct

import pytest

from tests.tools.client import second_implementation as second
from tests.tools.client.vectors import load
from tools.client.companion import Companion, companion_id, companion_record, encode_companion, open_companion
from tools.client.record_format import IntegrityError

V = load("manifest")
A, B, C, D = (bytes([n]) * 32 for n in range(1, 5))
KEYRING = b"k" * 16


def record_of(body):
    return second.companion_record(body, KEYRING)


def test_the_frozen_companion_holds():
    opened = open_companion(V["companion_record"], V["companion_id"])
    assert opened == Companion(0, tuple(sorted(V["chunks"])), ())
    body = encode_companion(0, opened.ids, ())
    assert body == V["companion_body"]
    assert companion_id(body) == V["companion_id"]
    assert companion_record(body, V["keyring"]) == V["companion_record"]


@pytest.mark.parametrize(
    ("level", "ids", "children"), [(0, [], []), (0, [A], []), (3, [A, B], [D, C]), (255, [A], [A])]
)
def test_both_implementations_write_the_same(level, ids, children):
    body = second.companion_body(level, ids, children)
    assert encode_companion(level, ids, children) == body
    assert companion_record(body, KEYRING) == record_of(body)
    assert open_companion(record_of(body), second.b3(body)) == Companion(level, tuple(ids), tuple(children))


def test_no_changed_byte_opens():
    record = V["companion_record"]
    for position in range(len(record)):
        changed = record[:position] + bytes([record[position] ^ 1]) + record[position + 1 :]
        with pytest.raises(IntegrityError, match=V["companion_id"].hex()):
            open_companion(changed, V["companion_id"])
    with pytest.raises(IntegrityError, match="another id"):
        open_companion(record, bytes(32))


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b"", "empty"),
        (b"\0", "cut off"),
        (second.companion_body(0, [A], [])[:-1], "cut off"),
        (b"\0" + struct.pack("<I", 2**32 - 1) + A, "cut off"),
        (second.companion_body(0, [A], []) + b"x", "after"),
        (second.companion_body(0, [B, A], []), "ascending"),
        (second.companion_body(0, [A, A], []), "ascending"),
        (second.companion_body(0, [A], [B]), "children"),
        (second.companion_body(1, [A, B], [C]), "children"),
        (second.companion_body(1, [A], []), "children"),
    ],
)
def test_a_body_that_no_writer_makes_is_refused(body, sentence):
    with pytest.raises(IntegrityError, match=sentence):
        open_companion(record_of(body), second.b3(body))


@pytest.mark.parametrize(
    ("magic", "suite", "type", "key"),
    [(b"SSR1", 0, 3, bytes(16)), (b"SSC1", 1, 3, bytes(16)), (b"SSC1", 0, 2, bytes(16)), (b"SSC1", 0, 3, b"k" * 16)],
)
def test_a_header_of_something_else_is_refused(magic, suite, type, key):
    body = second.companion_body(0, [A], [])
    header = second.record_header(magic, suite, type, KEYRING, key, second.b3(body), len(body))
    with pytest.raises(IntegrityError, match="damaged or was altered"):
        open_companion(header + body, second.b3(body))
