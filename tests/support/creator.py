"""The key of a person who creates jobs, and what he signs, by hand from docs/format.md."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgpack
from blake3 import blake3
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


@dataclass(frozen=True)
class Creator:
    private_key: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)

    @property
    def seed(self) -> bytes:
        return self.private_key.private_bytes_raw()

    @property
    def public_key(self) -> bytes:
        return self.private_key.public_key().public_bytes_raw()

    @property
    def fingerprint(self) -> bytes:
        return blake3(b"safeset creator key v1" + self.public_key).digest()[:20]

    @property
    def fingerprint_text(self) -> str:
        bits = "".join(f"{byte:08b}" for byte in self.fingerprint)
        text = "".join(ALPHABET[int(bits[at : at + 5], 2)] for at in range(0, 160, 5))
        return "-".join(text[at : at + 4] for at in range(0, 32, 4))

    def write(self, context_file: Path) -> Path:
        """Beside a context file, as the programs keep it."""
        path = context_file.with_name(context_file.name + ".signing-key")
        path.touch(mode=0o600)
        path.write_text(self.seed.hex() + "\n")
        return path

    def sign_definition(self, ids: tuple[bytes, bytes, bytes], revision: int, name: str, definition: Any) -> bytes:
        """`ids` are account, computer and job; `definition` has the fields of a job's definition."""
        return self.private_key.sign(b"safeset job definition v1" + document(ids, revision, name, definition))

    def sign_secret(self, message: bytes) -> bytes:
        """Header and sealed part become the whole message."""
        return message + self.public_key + self.private_key.sign(b"safeset job secret signature v1" + message)


def document(ids: tuple[bytes, bytes, bytes], revision: int, name: str, definition: Any) -> bytes:
    d = definition
    packed: bytes = msgpack.packb([
        1, *ids, revision, name, list(d.include), list(d.exclude), d.one_file_system, d.schedule, d.retention, d.suite,
        d.compression, d.both_sites, d.options,
    ])  # fmt: skip
    return packed
