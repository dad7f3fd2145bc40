"""The keys of an agent: P-256 for TLS, KEM 1 for job secrets, and the fingerprint that people compare."""

import struct
from dataclasses import dataclass, field

from blake3 import blake3
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tools.client.fingerprint import FINGERPRINT_BYTES, fingerprint_text
from tools.client.kem import KEM_HYBRID, check_public_key, generate_key_pair, public_of

_LABEL = b"safeset agent key v1"


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
