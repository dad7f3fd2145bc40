"""A sealed run key, opened with the private key of its generation."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric import mlkem, x25519

from .damage import Damage, require, require_zero
from .hashing import plain
from .keyring import Generation

HEAD = struct.Struct("<4sBB2s16sI16s16sH")
KEMS = {1: hpke.KEM.MLKEM768_X25519, 2: hpke.KEM.X25519}


@dataclass(frozen=True, slots=True)
class SealedRunKey:
    id: bytes
    kem: int
    keyring: bytes
    generation: int
    job: bytes
    run: bytes
    head: bytes
    sealed: bytes


def parse_run_key(raw: bytes) -> SealedRunKey:
    require(len(raw) > HEAD.size, "a sealed run key is cut short")
    magic, version, kem, reserved, keyring, generation, job, run, sealed_length = HEAD.unpack_from(raw)
    require(magic == b"SSY1", f"{magic!r} is not the magic of a sealed run key")
    require(version == 1, f"run key version {version} is unknown")
    require(kem in KEMS, f"KEM {kem} is unknown")
    require_zero(reserved, "a sealed run key")
    require(len(raw) == HEAD.size + sealed_length, "a sealed run key has another length than it says")
    return SealedRunKey(plain(raw)[:16], kem, keyring, generation, job, run, raw[: HEAD.size], raw[HEAD.size :])


def private_key_of(generation: Generation) -> Any:
    if generation.kem == 2:
        return x25519.X25519PrivateKey.from_private_bytes(generation.private_key)
    return hpke.MLKEM768X25519PrivateKey(
        mlkem.MLKEM768PrivateKey.from_seed_bytes(generation.private_key[:64]),
        x25519.X25519PrivateKey.from_private_bytes(generation.private_key[64:]),
    )


def open_run_key(sealed: SealedRunKey, generation: Generation) -> bytes:
    require(sealed.generation == generation.number, "a run key is of another generation")
    require(sealed.kem == generation.kem, "a run key is sealed with another KEM than its generation has")
    suite = hpke.Suite(KEMS[sealed.kem], hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM)
    info = b"safeset run key v1" + sealed.head[:60]
    try:
        run_key = suite.decrypt(sealed.sealed, private_key_of(generation), info=info)
    except (InvalidTag, ValueError) as error:
        raise Damage("a sealed run key does not open with its keyring") from error
    require(len(run_key) == 32, f"a run key has {len(run_key)} bytes")
    return run_key
