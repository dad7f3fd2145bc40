"""A slot: the keyring, sealed under a password or a recovery code."""

from __future__ import annotations

import hmac
import struct
import unicodedata
from dataclasses import dataclass

from blake3 import blake3
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from .damage import WrongPassword, require
from .hashing import kdf, keyed, plain
from .keyring import Keyring, parse_keyring
from .record import open_cbc
from .recovery_code import parse_recovery_code

HEAD = struct.Struct("<4sBBBB16s16sIIII16s32sI")
PASSWORD, RECOVERY_CODE = 1, 2
RECOVERY_CONTEXT = "safeset 2026-11 recovery code v1"


@dataclass(frozen=True, slots=True)
class Slot:
    kind: int
    id: bytes
    keyring: bytes
    generation: int
    memory_kib: int
    passes: int
    lanes: int
    salt: bytes
    commitment: bytes
    head: bytes
    body: bytes


def parse_slot(raw: bytes) -> Slot:
    require(len(raw) >= HEAD.size + 32, "a slot is cut short")
    require(plain(raw[:-32]) == raw[-32:], "the checksum of a slot is wrong")
    magic, version, kind, suite, reserved, slot_id, keyring, generation, *rest = HEAD.unpack_from(raw)
    memory_kib, passes, lanes, salt, commitment, body_length = rest
    require(magic == b"SSK1", f"{magic!r} is not the magic of a slot")
    require(version == 1, f"slot version {version} is unknown")
    require(suite == 1, f"slot suite {suite} is unknown")
    require(reserved == 0, "a slot has reserved bytes")
    require(len(raw) == HEAD.size + body_length + 32, "a slot has another length than it says")
    check_parameters(kind, memory_kib, passes, lanes)
    head, body = raw[: HEAD.size], raw[HEAD.size : -32]
    return Slot(kind, slot_id, keyring, generation, memory_kib, passes, lanes, salt, commitment, head, body)


def check_parameters(kind: int, memory_kib: int, passes: int, lanes: int) -> None:
    if kind == RECOVERY_CODE:
        require((memory_kib, passes, lanes) == (0, 0, 0), "a slot of a recovery code has password parameters")
        return
    require(kind == PASSWORD, f"slot kind {kind} is unknown")
    require(65_536 <= memory_kib <= 1_048_576, f"memory of {memory_kib} KiB is outside the bounds of a slot")
    require(3 <= passes <= 16, f"{passes} passes are outside the bounds of a slot")
    require(1 <= lanes <= 8, f"{lanes} lanes are outside the bounds of a slot")


def stretch(slot: Slot, secret: str) -> bytes:
    """64 bytes: the opening key and the proof."""
    if slot.kind == RECOVERY_CODE:
        code = parse_recovery_code(secret)
        return blake3(code + slot.salt, derive_key_context=RECOVERY_CONTEXT).digest(length=64)
    password = unicodedata.normalize("NFC", secret).encode("utf-8")
    kdf_of_slot = Argon2id(
        salt=slot.salt, length=64, iterations=slot.passes, lanes=slot.lanes, memory_cost=slot.memory_kib
    )
    return kdf_of_slot.derive(password)


def open_slot(slot: Slot, secret: str) -> Keyring:
    opening_key = stretch(slot, secret)[:32]
    keys = kdf(opening_key, b"safeset slot keys v1", 96)
    cipher_key, tag_key, commitment_key = keys[:32], keys[32:64], keys[64:]
    if not hmac.compare_digest(keyed(commitment_key, slot.head[:72]), slot.commitment):
        raise WrongPassword(f"slot {slot.id.hex()} belongs to another password or code")
    keyring = parse_keyring(open_cbc(cipher_key, tag_key, slot.head, slot.body))
    require(keyring.id == slot.keyring, "a slot holds another keyring than it says")
    require(max(keyring.generations) == slot.generation, "a slot holds another newest generation than it says")
    return keyring
