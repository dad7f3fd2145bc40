"""What agents and creators of jobs make, by hand from docs/format.md: records, companions, slots, keys, roots."""

import os
import struct
from dataclasses import dataclass, field

import msgpack
from blake3 import blake3
from cryptography.hazmat.primitives import padding
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.support.creator import Creator

DATA, BLOCK, PAYLOAD = 1, 2, 4
NO_HASH = bytes(32)


def header(magic: bytes, suite: int, kind: int, ids: tuple[bytes, bytes, bytes], length: int) -> bytes:
    keyring_id, key_id, id_ = ids
    head = magic + bytes([1, suite, kind, 0]) + keyring_id + key_id + id_ + struct.pack("<I", length)
    return head + blake3(head).digest()[:8]


def companion_body(level: int, ids: list[bytes], children: list[bytes]) -> bytes:
    return (
        struct.pack("<BI", level, len(ids))
        + b"".join(sorted(ids))
        + struct.pack("<I", len(children))
        + b"".join(children)
    )


def companion(keyring_id: bytes, body: bytes) -> bytes:
    return header(b"SSC1", 0, 3, (keyring_id, bytes(16), blake3(body).digest()), len(body)) + body


def id_of(record: bytes) -> bytes:
    return record[40:72]


def slot(keyring_id: bytes, kind: int = 1, slot_id: bytes | None = None, generation: int = 1) -> bytes:
    costs = (65_536, 3, 1) if kind == 1 else (0, 0, 0)
    body = os.urandom(16 + 64 + 32)
    head = b"SSK1" + bytes([1, kind, 1, 0]) + (slot_id or os.urandom(16)) + keyring_id
    head += struct.pack("<IIII", generation, *costs) + os.urandom(16) + os.urandom(32) + struct.pack("<I", len(body))
    return head + body + blake3(head + body).digest()


def job_secret(ids: tuple[bytes, bytes, bytes], agent_key: bytes, creator: Creator, purpose: int = 1) -> bytes:
    head = b"SSM1" + bytes([1, 1, purpose, 0]) + b"".join(ids) + os.urandom(16) + agent_key + struct.pack("<I", 1160)
    return creator.sign_secret(head + os.urandom(1120 + 40))


def agent_fingerprint(spki: bytes, sealing_key: bytes) -> bytes:
    return blake3(b"safeset agent key v1" + struct.pack("<I", len(spki)) + spki + sealing_key).digest()[:20]


@dataclass
class Sealer:
    """A run of an agent: its keys and what it seals."""

    account_id: bytes
    computer_id: bytes
    job_id: bytes
    keyring_id: bytes
    run_id: bytes = field(default_factory=lambda: os.urandom(16))
    id_key: bytes = bytes(32)
    run_key: bytes = field(default_factory=lambda: os.urandom(32))
    signing_key: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)
    sealed_key: bytes = b""
    generation: int = 1  # of the keyring

    def __post_init__(self) -> None:
        self.sealed_key = self.make_sealed_key()

    @property
    def public_signing_key(self) -> bytes:
        return self.signing_key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)

    @property
    def key_id(self) -> bytes:
        return blake3(self.sealed_key).digest()[:16]

    def make_sealed_key(self, generation: int = 0) -> bytes:
        head = b"SSY1" + bytes([1, 1, 0, 0]) + self.keyring_id + struct.pack("<I", generation or self.generation)
        head += self.job_id + self.run_id
        return head + struct.pack("<H", 1168) + os.urandom(1168)

    def record(self, kind: int, plaintext: bytes) -> bytes:
        """A record of suite 1."""
        id_ = blake3(bytes([kind]) + plaintext, key=self.id_key).digest()
        inner = struct.pack("<IBI", len(plaintext), 0, 0) + plaintext
        padder = padding.PKCS7(128).padder()
        padded = padder.update(inner) + padder.finalize()
        head = header(b"SSR1", 1, kind, (self.keyring_id, self.key_id, id_), 16 + len(padded) + 32)
        label = b"safeset record keys v1" + bytes([1, kind]) + id_
        keys = blake3(label, key=self.run_key).digest(length=64)
        iv = os.urandom(16)
        encryptor = Cipher(algorithms.AES(keys[:32]), modes.CBC(iv)).encryptor()
        sealed = encryptor.update(padded) + encryptor.finalize()
        covered = head + iv + sealed + struct.pack("<QQ", len(head), len(sealed))
        return head + iv + sealed + blake3(covered, key=keys[32:]).digest()

    def leaf(self, chunks: list[bytes]) -> tuple[bytes, bytes]:
        """(block record, companion record) of a leaf that uses these chunks."""
        ids = sorted(id_of(chunk) for chunk in chunks)
        beside = companion(self.keyring_id, companion_body(0, ids, []))
        block = self.record(BLOCK, msgpack.packb([1, 0, id_of(beside), b"".join(ids), []]))
        return block, beside

    def inner(self, level: int, rows: list[tuple[bytes, bytes]]) -> tuple[bytes, bytes]:
        """(block record, companion record) above the given pairs."""
        blocks = [id_of(block) for block, _ in rows]
        beside = companion(self.keyring_id, companion_body(level, blocks, [id_of(below) for _, below in rows]))
        listed = [[b"a", b"b", id_of(block), id_of(below), 1, 1] for block, below in rows]
        return self.record(BLOCK, msgpack.packb([1, level, id_of(beside), listed])), beside

    def payload(self, top: tuple[bytes, bytes], level: int = 0) -> bytes:
        fields = [1, id_of(top[0]), id_of(top[1]), level, "host", [b"/data"], [], "1", os.getpid(), 2, []]
        return self.record(PAYLOAD, msgpack.packb([*fields, os.urandom(4)]))

    def root(self, top: tuple[bytes, bytes], payload: bytes, **changed: object) -> bytes:
        """360 bytes, signed; keyword arguments replace fields before signing."""
        values: dict[str, object] = {
            "suite": 1,
            "complete": 1,
            "job": self.job_id,
            "computer": self.computer_id,
            "run": self.run_id,
            "keyring": self.keyring_id,
            "generation": self.generation,
            "timeline": 1,
            "sequence": 1,
            "previous": NO_HASH,
            "agent_time_ns": 1_700_000_000,
            "level": 0,
            "files": 1,
            "protected_bytes": 1000,
            "new_chunks": 1,
            "new_bytes": 1200,
            "payload_hash": blake3(payload).digest(),
            "signer": self.signing_key,
        } | changed
        head = struct.pack("<4sBBBB", b"SST1", 1, values["suite"], values["complete"], 0)
        head += struct.pack("<16sI", values["keyring"], values["generation"])
        head += struct.pack("<16s16s16s", values["job"], values["computer"], values["run"])
        order = (values["timeline"], values["sequence"], values["previous"], values["agent_time_ns"])
        head += struct.pack("<IQ32sq", *order)
        head += struct.pack("<32s32s32s", values["payload_hash"], id_of(top[0]), id_of(top[1]))
        head += struct.pack("<B7s", values["level"], bytes(7))
        figures = (values["files"], 0, 0, values["protected_bytes"], values["new_chunks"], values["new_bytes"], 0, 0)
        head += struct.pack("<8Q", *figures)
        assert len(head) == 296
        signer = values["signer"]
        assert isinstance(signer, Ed25519PrivateKey)
        return head + signer.sign(b"safeset root v1" + head)
