"""Erase keys, slots, recovery codes, run keys and roots: the reader on bytes made by hand, whole and damaged."""

from __future__ import annotations

from pathlib import Path

import msgpack
import pytest
from cryptography.hazmat.primitives.asymmetric import x25519

from . import handmade as made
from .reader import erase_key, root, run_key, slot
from .reader.damage import Damage, WrongPassword
from .reader.keyring import Generation, parse_keyring
from .reader.recovery_code import parse_recovery_code


def test_erase_keys_are_read_from_any_good_copy(tmp_path: Path) -> None:
    raw = made.erase_key(1, made.JOB, made.ERASE_JOB)
    made.write(tmp_path / f"{made.JOB.hex()}.key", made.flipped(raw, 30))
    assert erase_key.read_erase_keys([tmp_path]) == {}
    made.write(tmp_path / f"{made.JOB.hex()}.key2", raw)
    expected = {made.JOB: erase_key.EraseKey(1, made.JOB, made.ERASE_JOB)}
    assert erase_key.read_erase_keys([tmp_path]) == expected


def test_wrap_opens_for_its_own_item_alone() -> None:
    key = erase_key.EraseKey(1, made.JOB, made.ERASE_JOB)
    wrapped = made.wrapped(1, made.JOB, made.ERASE_JOB, b"slot", (b"\1" * 16, b"inside"))
    assert erase_key.unwrap(wrapped, key, "slot", b"\1" * 16) == b"inside"
    for purpose, item in [("run_key", b"\1" * 16), ("slot", b"\2" * 16)]:
        with pytest.raises(Damage):
            erase_key.unwrap(wrapped, key, purpose, item)


@pytest.mark.parametrize("secret", [made.PASSWORD, "passe\u0301 word"])
def test_password_slot_opens_in_either_normal_form(secret: str) -> None:
    opened = slot.open_slot(slot.parse_slot(made.slot(1, b"\1" * 16)), secret)
    assert opened == parse_keyring(made.keyring())
    assert [generation.minimum_suite for generation in opened.generations.values()] == [1, 2, 2]
    seeds = [opened.signing_seed(made.JOB, number) for number in (1, 2, 3)]
    assert seeds == [made.SIGNING_SEED, made.NEWER_SIGNING_SEED, made.NEWER_SIGNING_SEED]
    assert opened.generations[1].chunker_seed == made.SEED


@pytest.mark.parametrize(
    ("signing", "word"),
    [
        ([[made.JOB, 2, bytes(32)], [made.JOB, 1, bytes(32)]], "order"),
        ([[made.JOB, 1, bytes(32)], [made.JOB, 1, bytes(32)]], "twice"),
        ([[made.JOB, 4, bytes(32)]], "not there"),
        ([[made.JOB, 1, bytes(31)]], "size"),
    ],
)
def test_keyring_refuses_wrong_signing_keys(signing: list[list[object]], word: str) -> None:
    whole = msgpack.unpackb(made.keyring())
    with pytest.raises(Damage, match=word):
        parse_keyring(msgpack.packb([*whole[:3], signing, {}]))


def test_a_job_has_no_key_before_its_first_generation() -> None:
    whole = msgpack.unpackb(made.keyring())
    keyring = parse_keyring(msgpack.packb([*whole[:3], [[made.JOB, 2, bytes(32)]], {}]))
    for job, generation in [(made.JOB, 1), (made.RUN, 2), (made.JOB, 4)]:
        with pytest.raises(Damage, match="generation"):
            keyring.signing_seed(job, generation)


def test_recovery_slot_opens_and_damage_is_not_a_wrong_code() -> None:
    raw = made.slot(2, b"\2" * 16)
    read = slot.parse_slot(raw)
    assert slot.open_slot(read, made.code_text()).id == made.KEYRING
    with pytest.raises(Damage):
        slot.parse_slot(made.flipped(raw, 150))
    changed = made.flipped(raw, 150)[:-32]
    with pytest.raises(Damage, match="tag"):
        slot.open_slot(slot.parse_slot(changed + made.h(changed)), made.code_text())
    changed = made.flipped(raw, 60)[:-32]
    with pytest.raises(WrongPassword):
        slot.open_slot(slot.parse_slot(changed + made.h(changed)), made.code_text())


def test_slot_with_weak_parameters_is_damage() -> None:
    with pytest.raises(Damage, match="outside the bounds"):
        slot.parse_slot(made.slot(1, b"\1" * 16, memory_kib=65_535))


def test_recovery_code_is_read_as_people_write_it() -> None:
    text = made.code_text()
    assert parse_recovery_code(text) == made.CODE
    sloppy = " ".join(text.lower().replace("0", "o").replace("1", "l"))
    assert parse_recovery_code(sloppy) == made.CODE
    groups = text.split("-")
    groups[4] = "Z" + groups[4][1:]
    with pytest.raises(ValueError, match="group 5"):
        parse_recovery_code("-".join(groups))


def test_run_key_opens_with_both_kems() -> None:
    generation = parse_keyring(made.keyring()).generations[1]
    read = run_key.parse_run_key(made.SEALED_RUN_KEY)
    assert (read.id, read.job, read.run) == (made.h(made.SEALED_RUN_KEY)[:16], made.JOB, made.RUN)
    assert len(read.sealed) == 1120 + 32 + 16
    assert run_key.open_run_key(read, generation) == made.RUN_KEY
    private = b"\x42" * 32
    public = x25519.X25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw()
    curve = Generation(1, 2, private, public, made.ID_KEY, 0, 1)
    assert run_key.open_run_key(run_key.parse_run_key(made.run_key(kem=2)), curve) == made.RUN_KEY
    with pytest.raises(Damage):
        run_key.open_run_key(run_key.parse_run_key(made.flipped(made.SEALED_RUN_KEY, 50)), generation)


def test_root_is_signed_over_every_field() -> None:
    tip = made.Tip(b"\1" * 32, b"\2" * 32, 3, b"\4" * 32)
    raw = made.root(tip, sequence=7, previous=b"\5" * 32)
    read = root.parse_root(raw)
    assert (read.sequence, read.previous, read.level, read.complete) == (7, b"\5" * 32, 3, True)
    assert (read.files, read.protected_bytes, read.new_chunks, read.warnings) == (2, 12, 1, 0)
    assert (read.agent_time, read.top_block, read.top_companion) == (made.CREATED, b"\1" * 32, b"\2" * 32)
    root.verify_signature(read, made.SIGNING_SEED)
    for at in [8, 30, 60, 80, 224, 240, 300, 359]:
        with pytest.raises(Damage):
            root.verify_signature(root.parse_root(made.flipped(raw, at)), made.SIGNING_SEED)


def test_payload_must_agree_with_the_public_part() -> None:
    read = root.parse_root(made.root(made.Tip(b"\1" * 32, b"\2" * 32, 0, bytes(32))))
    payload = root.parse_payload(made.payload(b"\1" * 32, b"\2" * 32, 0), read)
    assert (payload.host_name, payload.job_name, payload.computer_name) == ("host", "documents", "office-1")
    assert (payload.includes, payload.warnings) == ([b"/src"], [(b"src/x", "gone")])
    with pytest.raises(Damage, match="another top"):
        root.parse_payload(made.payload(b"\1" * 32, b"\2" * 32, 1), read)
    with pytest.raises(Damage, match="msgpack"):
        root.parse_payload(made.payload(b"\1" * 32, b"\2" * 32, 0) + b"\0", read)
    later = made.payload(b"\1" * 32, b"\2" * 32, 0, {7: ["of a later version"]})
    assert root.parse_payload(later, read) == payload
    for extras in ([1], {"a": 1}, {0: 1}):
        with pytest.raises(Damage, match="extra"):
            root.parse_payload(made.payload(b"\1" * 32, b"\2" * 32, 0, extras), read)
