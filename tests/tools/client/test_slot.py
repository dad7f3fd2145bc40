import hashlib
import struct
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from tests.tools.client import second_implementation as second
from tests.tools.client.vectors import load
from tools.client.keyring import decode_keyring
from tools.client.record_format import LaterVersion
from tools.client.slot import (
    KIND_PASSWORD,
    KIND_RECOVERY_CODE,
    SlotDamaged,
    SlotKeys,
    SlotParameters,
    WrongPassword,
    create_password_slot,
    create_recovery_slot,
    derive_keys,
    open_slot,
    open_slot_copies,
)

V = load("slot")
PASSWORD, RECOVERY = V["password"], V["recovery"]
KEYRING = decode_keyring(V["keyring"])
SLOT, KEYS = PASSWORD["slot"], SlotKeys(PASSWORD["opening_key"], PASSWORD["proof"])


def parameters_of(slot):
    """What a vault reads in a slot's header."""
    return SlotParameters(slot[8:24], slot[5], *struct.unpack("<III", slot[44:56]), slot[56:72])


def flipped(data, position):
    return data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :]


def resealed(slot, position):
    """A changed byte and a checksum that fits again: altered, not merely damaged."""
    changed = flipped(slot, position)[:-32]
    return changed + second.b3(changed)


def test_the_library_computes_the_argon2id_of_rfc_9106():
    derived = Argon2id(
        salt=b"\2" * 16, length=32, iterations=3, lanes=4, memory_cost=32, ad=b"\4" * 12, secret=b"\3" * 8
    ).derive(b"\1" * 32)
    assert derived.hex() == "0d640df58d78766c08c037a34a8b53c9d01ef0452d75b65eb52520e96b01e659"


@pytest.mark.parametrize(
    ("v", "kind", "secret", "costs"),
    [(PASSWORD, 1, PASSWORD["password"], (65_536, 3, 1)), (RECOVERY, 2, RECOVERY["code"], (0, 0, 0))],
    ids=["password", "recovery"],
)
def test_the_frozen_slots_hold(v, kind, secret, costs):
    parameters = SlotParameters(v["slot_id"], kind, *costs, v["salt"])
    assert second.slot_keys(kind, secret, v["salt"], *costs) == (v["opening_key"], v["proof"])
    head = second.slot_head(kind, v["slot_id"], KEYRING.keyring_id, 2, costs, v["salt"])
    assert second.seal_slot(v["opening_key"], head, V["keyring"], v["iv"]) == v["slot"]
    assert parameters_of(v["slot"]) == parameters
    keys = derive_keys(secret, parameters)
    assert (keys.opening_key, keys.proof, keys.proof_hash) == (v["opening_key"], v["proof"], v["proof_hash"])
    assert open_slot(v["slot"], keys) == KEYRING


def test_a_password_is_the_same_however_it_was_composed():
    composed = "p\u00e4ssw\u00f6rt"
    assert composed != PASSWORD["password"]
    assert derive_keys(composed, parameters_of(SLOT)) == KEYS


def test_a_new_password_slot_opens_with_its_password_alone():
    made = create_password_slot(KEYRING, "correct horse")
    parameters = parameters_of(made.slot)
    assert (parameters.kind, parameters.memory_kib, parameters.passes, parameters.lanes) == (1, 65_536, 3, 1)
    opening_key, proof = second.slot_keys(1, "correct horse", parameters.salt, 65_536, 3, 1)
    assert made.proof_hash == second.b3(proof)
    iv = made.slot[108:124]
    assert second.seal_slot(opening_key, made.slot[:72], V["keyring"], iv) == made.slot
    with pytest.raises(WrongPassword):
        open_slot(made.slot, derive_keys("correct horsf", parameters))


def test_a_new_recovery_slot_opens_with_its_code_alone():
    made, again = create_recovery_slot(KEYRING, RECOVERY["code"]), create_recovery_slot(KEYRING, RECOVERY["code"])
    parameters = parameters_of(made.slot)
    assert parameters.kind == KIND_RECOVERY_CODE
    assert open_slot(made.slot, derive_keys(RECOVERY["code"], parameters)) == KEYRING
    with pytest.raises(WrongPassword):
        open_slot(made.slot, derive_keys(bytes(20), parameters))
    assert made.proof_hash != again.proof_hash
    assert parameters_of(again.slot).slot_id != parameters.slot_id


def test_no_changed_byte_opens_and_all_of_it_is_damage():
    for position in range(len(SLOT)):
        with pytest.raises(SlotDamaged, match="checksum"):
            open_slot(flipped(SLOT, position), KEYS)


def test_a_byte_that_was_altered_with_its_checksum_never_opens():
    """Behind the header it is damage, in its first bytes a later version.

    Ids and salt are in the commitment: altering them looks like a wrong password.
    """
    for position in range(len(SLOT) - 32):
        with pytest.raises((WrongPassword, SlotDamaged, LaterVersion)) as caught:
            open_slot(resealed(SLOT, position), KEYS)
        assert (caught.type is LaterVersion) == (position < 8)
        if position >= 104:
            assert caught.type is SlotDamaged
        elif 8 <= position < 44 or position >= 56:
            assert caught.type is WrongPassword


@pytest.mark.parametrize("length", [0, 1, 107, 108, 139, 140, 200, -1])
def test_a_shortened_slot_is_damage(length):
    cut = SLOT[:length]
    with pytest.raises(SlotDamaged):
        open_slot(cut, KEYS)
    with pytest.raises(SlotDamaged):
        open_slot(cut[:-32] + second.b3(cut[:-32]), KEYS)


def test_damage_of_one_copy_is_healed_by_the_other_and_a_wrong_password_is_not():
    wrong = SlotKeys(bytes(32), bytes(32))
    for copies in ([SLOT, SLOT], [flipped(SLOT, 300), SLOT], [SLOT, SLOT[:50]], [b"", SLOT]):
        assert open_slot_copies(copies, KEYS) == KEYRING
        with pytest.raises(WrongPassword):
            open_slot_copies(copies, wrong)
    for copies in ([], [flipped(SLOT, 0), SLOT[:-1]]):
        with pytest.raises(SlotDamaged):
            open_slot_copies(copies, KEYS)


def with_costs(kind, costs):
    head = second.slot_head(kind, bytes(16), KEYRING.keyring_id, 2, costs, bytes(16))
    return second.seal_slot(KEYS.opening_key, head, V["keyring"], bytes(16))


@pytest.mark.parametrize(
    ("kind", "costs", "field"),
    [
        (1, (65_535, 3, 1), "memory_kib"),
        (1, (1_048_577, 3, 1), "memory_kib"),
        (1, (2**32 - 1, 3, 1), "memory_kib"),
        (1, (0, 0, 0), "memory_kib"),
        (1, (65_536, 2, 1), "passes"),
        (1, (65_536, 17, 1), "passes"),
        (1, (65_536, 3, 0), "lanes"),
        (1, (65_536, 3, 9), "lanes"),
        (2, (65_536, 3, 1), "memory_kib"),
        (2, (0, 3, 0), "passes"),
    ],
)
def test_parameters_out_of_bounds_are_damage_before_anything_is_derived(kind, costs, field, monkeypatch):
    monkeypatch.setattr("tools.client.slot.Argon2id", None)
    slot = with_costs(kind, costs)
    for call in (
        lambda: open_slot(slot, KEYS),
        lambda: derive_keys("password", SlotParameters(bytes(16), kind, *costs, bytes(16))),
    ):
        with pytest.raises(SlotDamaged, match=field):
            call()


@pytest.mark.parametrize("costs", [(65_536, 3, 1), (1_048_576, 16, 8)])
def test_parameters_at_the_bounds_are_taken(costs):
    assert open_slot(with_costs(1, costs), KEYS) == KEYRING


def test_a_good_slot_around_something_else_is_damage():
    head = second.slot_head(1, bytes(16), KEYRING.keyring_id, 2, (65_536, 3, 1), bytes(16))
    with pytest.raises(SlotDamaged, match="keyring"):
        open_slot(second.seal_slot(KEYS.opening_key, head, b"no keyring", bytes(16)), KEYS)
    for keyring_id, generation in ((bytes(16), 2), (KEYRING.keyring_id, 1)):
        head = second.slot_head(1, bytes(16), keyring_id, generation, (65_536, 3, 1), bytes(16))
        with pytest.raises(SlotDamaged, match="another keyring or generation"):
            open_slot(second.seal_slot(KEYS.opening_key, head, V["keyring"], bytes(16)), KEYS)


@pytest.mark.parametrize(("at", "value", "field"), [(0, b"X", "magic"), (4, b"\2", "version"), (6, b"\2", "suite")])
def test_an_unknown_version_is_named(at, value, field):
    changed = SLOT[:at] + value + SLOT[at + 1 : -32]
    with pytest.raises(LaterVersion, match=field):
        open_slot(changed + second.b3(changed), KEYS)


def test_a_body_length_that_does_not_fit_is_named():
    changed = SLOT[:104] + struct.pack("<I", 10) + SLOT[108:-32]
    with pytest.raises(SlotDamaged, match="body_length"):
        open_slot(changed + second.b3(changed), KEYS)


@pytest.mark.parametrize("kind", [0, 3])
def test_a_kind_of_a_later_version_is_named_and_no_damage(kind):
    slot = with_costs(kind, (65_536, 3, 1))
    with pytest.raises(LaterVersion, match=f"kind {kind} is unknown"):
        open_slot(slot, KEYS)


@pytest.mark.parametrize(
    ("kind", "secret"), [(KIND_PASSWORD, bytes(20)), (KIND_RECOVERY_CODE, "text"), (KIND_RECOVERY_CODE, bytes(19))]
)
def test_a_secret_of_the_other_kind_is_refused(kind, secret):
    parameters = replace(parameters_of(SLOT if kind == KIND_PASSWORD else RECOVERY["slot"]), kind=kind)
    with pytest.raises(ValueError, match="another secret"):
        derive_keys(secret, parameters)


@pytest.mark.parametrize(("password", "sentence"), [("", "empty"), ("\udcff", "UTF-8")])
def test_a_password_that_is_none_is_refused(password, sentence):
    with pytest.raises(ValueError, match=sentence):
        create_password_slot(KEYRING, password)


def test_the_opening_key_is_not_in_a_repr_and_not_in_the_slot():
    assert hashlib.sha256(SLOT).digest() != hashlib.sha256(RECOVERY["slot"]).digest()
    assert "opening_key" not in repr(KEYS)
    assert KEYS.opening_key not in SLOT
    assert KEYS.proof not in SLOT
