"""Roots changed byte by byte, as docs/format.md lays them out, and signed again with the key of the agent's state."""

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.tools.agent.conftest import Site
from tools.client.keyring import Unattended

KEYRING, GENERATION, JOB, COMPUTER, TIMELINE, SEQUENCE, PREVIOUS, PAYLOAD_HASH, TOP_BLOCK, TOP_COMPANION, LEVEL = (
    8, 24, 28, 44, 76, 80, 88, 128, 160, 192, 224,
)  # fmt: skip
SIGNED_BYTES = 296


def agents_own(site: Site) -> Ed25519PrivateKey:
    saved = site.state.job(site.vault.job.job_id).load_unattended()
    assert saved is not None
    return Ed25519PrivateKey.from_private_bytes(Unattended.decode(saved).signing_seed)


def forged(root: bytes, signer: Ed25519PrivateKey, offset: int, value: bytes) -> bytes:
    signed = root[:offset] + value + root[offset + len(value) : SIGNED_BYTES]
    return signed + signer.sign(b"safeset root v1" + signed)
