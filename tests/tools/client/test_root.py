from dataclasses import replace

import msgpack
import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from tests.tools.client import second_implementation as second
from tests.tools.client.vectors import load
from tools.client.record_format import IntegrityError
from tools.client.root import (
    Figures,
    Payload,
    Root,
    check_payload,
    decode_payload,
    encode_payload,
    generation_of,
    open_root,
    root_hash,
    sign_root,
    verify_countersignature,
)

V = load("root")
F = V["fields"]
FIGURES = ["files", "directories", "others", "protected_bytes", "new_chunks", "new_bytes", "reused_bytes", "warnings"]
ROOT = Root(
    F["suite"], True, F["keyring"], F["generation"], F["job"], F["computer"], F["run"], F["timeline"], F["sequence"],
    F["previous"], F["agent_time"], F["payload_hash"], F["top_block"], F["top_companion"], F["level"],
    Figures(*(F[name] for name in FIGURES)),
)  # fmt: skip
PAYLOAD = Payload(
    F["top_block"], F["top_companion"], 2, "höst", "jöb", "PC-1", (b"/home", b"/\xff"), ("*.tmp",), "0.1.0", 1, 2,
    ((b"home/x", "changed"),), 1,
)  # fmt: skip


def test_the_frozen_root_holds():
    assert second.sign_root(V["signing_seed"], F) == V["root"]
    assert sign_root(ROOT, V["signing_seed"], 1) == V["root"]
    assert open_root(V["root"], V["signing_key"]) == ROOT
    assert len(V["root"]) == 360
    assert root_hash(V["root"]) == V["root_hash"] == second.b3(V["root"])
    Ed25519PublicKey.from_public_bytes(V["signing_key"]).verify(V["root"][296:], b"safeset root v1" + V["root"][:296])


def test_a_suite_below_the_minimum_is_not_signed():
    with pytest.raises(ValueError, match="suite 1 is not signed"):
        sign_root(replace(ROOT, suite=1), V["signing_seed"], 2)
    assert open_root(sign_root(replace(ROOT, suite=2), V["signing_seed"], 2), V["signing_key"]).suite == 2


def test_a_root_tells_its_generation_before_it_is_verified():
    assert generation_of(V["root"]) == F["generation"]
    with pytest.raises(IntegrityError, match="360"):
        generation_of(V["root"][:-1])


def test_a_provisional_root_says_so():
    encoded = sign_root(replace(ROOT, complete=False), V["signing_seed"], 1)
    assert encoded == second.sign_root(V["signing_seed"], {**F, "complete": 0})
    assert not open_root(encoded, V["signing_key"]).complete


def test_no_changed_byte_opens():
    for position in range(360):
        changed = V["root"][:position] + bytes([V["root"][position] ^ 1]) + V["root"][position + 1 :]
        with pytest.raises(IntegrityError):
            open_root(changed, V["signing_key"])
    for cut in (b"", V["root"][:-1], V["root"] + b"\0"):
        with pytest.raises(IntegrityError, match="360"):
            open_root(cut, V["signing_key"])
    with pytest.raises(IntegrityError, match="signed"):
        open_root(V["root"], V["vault_key"])


@pytest.mark.parametrize(("field", "value"), [("suite", 0), ("suite", 3), ("complete", 2)])
def test_a_signed_root_with_an_unknown_value_is_refused(field, value):
    encoded = second.sign_root(V["signing_seed"], {**F, field: value})
    with pytest.raises(IntegrityError, match=field):
        open_root(encoded, V["signing_key"])


def test_the_frozen_countersignature_holds_for_its_root_vault_and_time_alone():
    good = (V["root_hash"], V["vault"], V["vault_time"], V["countersignature"], V["vault_key"])
    assert second.countersign(V["vault_seed"], V["root"], V["vault"], V["vault_time"]) == V["countersignature"]
    verify_countersignature(*good)
    for at, other in enumerate((bytes(32), bytes(16), V["vault_time"] + 1, bytes(64), V["signing_key"])):
        with pytest.raises(IntegrityError, match="countersigned"):
            verify_countersignature(*good[:at], other, *good[at + 1 :])
    with pytest.raises(InvalidSignature):
        Ed25519PublicKey.from_public_bytes(V["vault_key"]).verify(V["countersignature"], V["root_hash"])


def test_the_frozen_payload_holds():
    assert second.payload(PAYLOAD) == V["payload"]
    assert encode_payload(PAYLOAD) == V["payload"]
    assert decode_payload(V["payload"]) == PAYLOAD
    check_payload(ROOT, PAYLOAD)


def test_what_a_later_version_says_of_a_safeset_is_left_out():
    later = [*msgpack.unpackb(V["payload"])[:14], {1: b"x", 2**64 - 1: [None, {"a": 1}]}]
    assert decode_payload(msgpack.packb(later)) == PAYLOAD


@pytest.mark.parametrize("change", [{"top_block": bytes(32)}, {"top_companion": bytes(32)}, {"level": 1}])
def test_a_payload_that_names_another_manifest_is_refused(change):
    with pytest.raises(IntegrityError, match="another manifest"):
        check_payload(ROOT, replace(PAYLOAD, **change))


def test_no_more_warnings_are_kept_than_the_record_takes():
    many = tuple((b"p%d" % i, "gone") for i in range(1500))
    assert decode_payload(encode_payload(replace(PAYLOAD, warnings=many))).warnings == many[:1000]
    long = tuple((b"p" * 4000, "gone") for _ in range(1000))
    encoded = encode_payload(replace(PAYLOAD, warnings=long))
    assert 262_144 - 4100 < len(encoded) <= 262_144
    assert decode_payload(encoded).warnings == long[:65]


def test_includes_that_fill_the_record_are_refused():
    with pytest.raises(ValueError, match="includes and excludes"):
        encode_payload(replace(PAYLOAD, includes=(bytes(300_000),)))


@pytest.mark.parametrize(
    ("at", "value", "sentence"),
    [
        (0, 2, "version"), (1, bytes(31), "top block"), (2, None, "top companion"), (3, 256, "level"),
        (4, b"x", "host name"), (5, b"x", "job name"), (6, None, "computer name"), (7, ["x"], "include"),
        (8, [b"x"], "exclude"), (9, 1, "agent version"), (10, "x", "begin"), (11, 2**63, "end"),
        (12, [[b"x"]], "warning"), (12, [[b"x", b"y"]], "code"), (12, [[b"x", "y"]] * 1001, "warnings"),
        (13, 0, "system"), (13, "linux", "system"), (14, [], "extras"), (14, {"1": 1}, "number of an extra"),
        (14, {0: 1}, "number of an extra"),
    ],
)  # fmt: skip
def test_a_payload_that_is_not_one_is_refused_with_its_field(at, value, sentence):
    array = msgpack.unpackb(V["payload"])
    array[at] = value
    with pytest.raises(IntegrityError, match=sentence):
        decode_payload(msgpack.packb(array))
    with pytest.raises(IntegrityError):
        decode_payload(V["payload"] + b"\0")
