"""The key with which a person signs the jobs that he creates, and the fingerprint that agents pin of it.

It is made on that person's machine, lives beside his context file and is sent nowhere: a vault, or an operator who
keeps a copy of the context, can make no job that an agent takes.
"""

import os
from dataclasses import dataclass, field

from blake3 import blake3
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

SEED_BYTES = 32
PUBLIC_KEY_BYTES = 32
SIGNATURE_BYTES = 64
CREATOR_FINGERPRINT_BYTES = 20

_LABEL = b"safeset creator key v1"


@dataclass(frozen=True, slots=True)
class CreatorKey:
    """An Ed25519 key by its seed."""

    seed: bytes = field(repr=False)

    @property
    def public_key(self) -> bytes:
        return self._private().public_key().public_bytes_raw()

    @property
    def fingerprint(self) -> bytes:
        return creator_fingerprint(self.public_key)

    def sign(self, signed: bytes) -> bytes:
        return self._private().sign(signed)

    def _private(self) -> Ed25519PrivateKey:
        return Ed25519PrivateKey.from_private_bytes(self.seed)


def create_creator_key() -> CreatorKey:
    return CreatorKey(os.urandom(SEED_BYTES))


def creator_fingerprint(public_key: bytes) -> bytes:
    """The 20 bytes that an invite code carries."""
    return blake3(_LABEL + public_key).digest(length=CREATOR_FINGERPRINT_BYTES)


def is_signed(public_key: bytes, signature: bytes, signed: bytes) -> bool:
    """Whether the signature holds; a key that is none signs nothing."""
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, signed)
    except (InvalidSignature, ValueError):
        return False
    return True
