"""Key pairs that something small is sealed to: HPKE base mode with HKDF-SHA256 and AES-256-GCM.

KEM 1 joins ML-KEM-768 and X25519, because what is stored today is read in twenty years; KEM 2 is X25519 alone.
"""

import os
from dataclasses import dataclass, field
from typing import NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from tools.client.record_format import IntegrityError

KEM_HYBRID = 1
KEM_X25519 = 2

_SEED_BYTES = 64
_X25519_BYTES = 32
_MLKEM_PUBLIC_BYTES = 1184


class _Kem(NamedTuple):
    identifier: hpke.KEM
    private_bytes: int
    public_bytes: int


_KEMS = {
    KEM_HYBRID: _Kem(hpke.KEM.MLKEM768_X25519, _SEED_BYTES + _X25519_BYTES, _MLKEM_PUBLIC_BYTES + _X25519_BYTES),
    KEM_X25519: _Kem(hpke.KEM.X25519, _X25519_BYTES, _X25519_BYTES),
}


@dataclass(frozen=True, slots=True)
class KeyPair:
    """Both halves in the form in which keyrings store them."""

    kem: int
    private_key: bytes = field(repr=False)
    public_key: bytes


def is_known_kem(kem: int) -> bool:
    return kem in _KEMS


def generate_key_pair(kem: int = KEM_HYBRID) -> KeyPair:
    """A new pair from the system's random generator."""
    private_key = os.urandom(_known(kem).private_bytes)
    return KeyPair(kem, private_key, public_of(kem, private_key))


def public_of(kem: int, private_key: bytes) -> bytes:
    """The public half that belongs to a private one."""
    _check_length(private_key, _known(kem).private_bytes, "private key")
    if kem == KEM_X25519:
        return X25519PrivateKey.from_private_bytes(private_key).public_key().public_bytes_raw()
    mlkem, x25519 = _split_private(private_key)
    return mlkem.public_key().public_bytes_raw() + x25519.public_key().public_bytes_raw()


def check_public_key(kem: int, public_key: bytes) -> None:
    """IntegrityError unless the bytes can be a public key of that KEM."""
    _check_length(public_key, _known(kem).public_bytes, "public key")


def seal(kem: int, public_key: bytes, plaintext: bytes, info: bytes) -> bytes:
    """Encapsulated key and ciphertext; only the private half and the same `info` open it."""
    check_public_key(kem, public_key)
    try:
        return _suite(kem).encrypt(plaintext, _load_public(kem, public_key), info=info)
    except ValueError as error:
        raise IntegrityError(f"the public key is not one of KEM {kem}: {error}") from None


def open_sealed(kem: int, private_key: bytes, sealed: bytes, info: bytes) -> bytes:
    """What was sealed; IntegrityError when any byte of it, the key or `info` is another."""
    _check_length(private_key, _known(kem).private_bytes, "private key")
    try:
        return _suite(kem).decrypt(sealed, _load_private(kem, private_key), info=info)
    except (InvalidTag, ValueError):
        raise IntegrityError("what was sealed to this key did not open: it was altered or sealed to another") from None


def _known(kem: int) -> _Kem:
    if kem not in _KEMS:
        raise IntegrityError(f"KEM {kem} is unknown to this program")
    return _KEMS[kem]


def _check_length(key: bytes, length: int, what: str) -> None:
    if len(key) != length:
        raise IntegrityError(f"the {what} has {len(key)} bytes, not {length}")


def _suite(kem: int) -> hpke.Suite:
    return hpke.Suite(_known(kem).identifier, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM)


def _split_private(private_key: bytes) -> tuple[MLKEM768PrivateKey, X25519PrivateKey]:
    return (
        MLKEM768PrivateKey.from_seed_bytes(private_key[:_SEED_BYTES]),
        X25519PrivateKey.from_private_bytes(private_key[_SEED_BYTES:]),
    )


def _load_private(kem: int, private_key: bytes) -> X25519PrivateKey | hpke.MLKEM768X25519PrivateKey:
    if kem == KEM_X25519:
        return X25519PrivateKey.from_private_bytes(private_key)
    return hpke.MLKEM768X25519PrivateKey(*_split_private(private_key))


def _load_public(kem: int, public_key: bytes) -> X25519PublicKey | hpke.MLKEM768X25519PublicKey:
    if kem == KEM_X25519:
        return X25519PublicKey.from_public_bytes(public_key)
    return hpke.MLKEM768X25519PublicKey(
        MLKEM768PublicKey.from_public_bytes(public_key[:_MLKEM_PUBLIC_BYTES]),
        X25519PublicKey.from_public_bytes(public_key[_MLKEM_PUBLIC_BYTES:]),
    )
