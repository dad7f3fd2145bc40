"""The keys of an agent: P-256 for TLS, KEM 1 for job secrets, and the fingerprint that people compare."""

import struct
from dataclasses import dataclass, field

from blake3 import blake3
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tools.client.kem import KEM_HYBRID, check_public_key, generate_key_pair, public_of
from tools.client.recovery_code import base32_bytes, base32_text, normal_text

FINGERPRINT_BYTES = 20

_LABEL = b"safeset agent key v1"
_GROUP_CHARACTERS = 4
_FINGERPRINT_CHARACTERS = 32


@dataclass(frozen=True, slots=True)
class AgentKey:
    """Both private keys, as the agent's state holds them: PEM (PKCS#8, in clear) and the 96 bytes of KEM 1."""

    tls_private_pem: bytes = field(repr=False)
    sealing_private: bytes = field(repr=False)

    @property
    def sealing_public(self) -> bytes:
        """What job secrets are sealed to; 1216 bytes."""
        return public_of(KEM_HYBRID, self.sealing_private)

    @property
    def spki(self) -> bytes:
        """The public TLS key as DER."""
        encoding, form = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        return self.tls_key().public_key().public_bytes(encoding, form)

    @property
    def fingerprint(self) -> bytes:
        """20 bytes over both public keys."""
        return fingerprint_bytes(self.spki, self.sealing_public)

    def tls_key(self) -> ec.EllipticCurvePrivateKey:
        key = serialization.load_pem_private_key(self.tls_private_pem, password=None)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise ValueError("the agent's TLS key is not an elliptic-curve key: register the agent anew")
        return key


def create_agent_key() -> AgentKey:
    """New keys for an agent that is about to register."""
    pem = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return AgentKey(pem, generate_key_pair(KEM_HYBRID).private_key)


def fingerprint_bytes(spki: bytes, sealing_public: bytes) -> bytes:
    """The 20 bytes that a job secret names."""
    check_public_key(KEM_HYBRID, sealing_public)
    return blake3(_LABEL + struct.pack("<I", len(spki)) + spki + sealing_public).digest(length=FINGERPRINT_BYTES)


def fingerprint(spki: bytes, sealing_public: bytes) -> str:
    """The text that people compare: eight groups of four, joined by `-`."""
    return fingerprint_text(fingerprint_bytes(spki, sealing_public))


def fingerprint_text(value: bytes) -> str:
    """The text form of the 20 bytes."""
    text = base32_text(value)
    return "-".join(text[i : i + _GROUP_CHARACTERS] for i in range(0, len(text), _GROUP_CHARACTERS))


def parse_fingerprint(text: str) -> bytes:
    """What a person typed or pinned; ValueError when it is no fingerprint."""
    characters = normal_text(text).replace("-", "")
    try:
        value = base32_bytes(characters)
    except ValueError:
        value = b""
    if len(characters) != _FINGERPRINT_CHARACTERS or len(value) != FINGERPRINT_BYTES:
        raise ValueError(f"an agent key's fingerprint has {_FINGERPRINT_CHARACTERS} characters in groups of four")
    return value
