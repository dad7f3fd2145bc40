"""Bytes of every format, put together by hand from docs/format.md; no line of the reader is used."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lmdb
import msgpack
import zstandard
from blake3 import blake3
from cryptography.hazmat.primitives import hpke, padding
from cryptography.hazmat.primitives.asymmetric import ed25519, mlkem, x25519
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

VAULT, JOB, COMPUTER, RUN, KEYRING = (bytes([value]) * 16 for value in (0x0A, 0x0B, 0x0C, 0x0D, 0x0E))
ID_KEY, RUN_KEY, SIGNING_SEED, ERASE_JOB, ERASE_KEYRING = (bytes([value]) * 32 for value in (1, 2, 3, 4, 5))
SEED = 0x0123456789ABCDEF
PASSWORD = "pass\u00e9 word"
CODE = bytes(range(20))
ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
NEWER_SIGNING_SEED = b"\6" * 32
CREATED = 1_700_000_000_000_000_000


def h(data: bytes) -> bytes:
    return blake3(data).digest()


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 0x10]) + data[at + 1 :]


def keyed(key: bytes, data: bytes, length: int = 32) -> bytes:
    return blake3(data, key=key).digest(length=length)


def with_check(data: bytes) -> bytes:
    return data + h(data)[:8]


def cbc(key: bytes, iv: bytes, data: bytes) -> bytes:
    padder = padding.PKCS7(128).padder()
    encryptor = Cipher(algorithms.AES(key), modes.CBC(iv)).encryptor()
    return encryptor.update(padder.update(data) + padder.finalize()) + encryptor.finalize()


def cbc_body(cipher_key: bytes, tag_key: bytes, head: bytes, data: bytes) -> bytes:
    iv = b"\x77" * 16
    c = cbc(cipher_key, iv, data)
    return iv + c + keyed(tag_key, head + iv + c + struct.pack("<QQ", len(head), len(c)))


def inner(plaintext: bytes, codec: int = 0, padding_bytes: int = 0) -> bytes:
    data = zstandard.ZstdCompressor(write_content_size=True).compress(plaintext) if codec else plaintext
    return struct.pack("<IBI", len(plaintext), codec, padding_bytes) + data + bytes(padding_bytes)


def record_id(kind: int, plaintext: bytes) -> bytes:
    return keyed(ID_KEY, bytes([kind]) + plaintext)


def sealed(kind: int, chunk_id: bytes, inside: bytes, suite: int = 1) -> bytes:
    extra = {1: 16 + 16 - len(inside) % 16 + 32, 2: 12 + 16}[suite]
    head = b"SSR1" + bytes([1, suite, kind, 0]) + KEYRING + RUN_KEY_ID + chunk_id
    head = with_check(head + struct.pack("<I", len(inside) + extra))
    keys = keyed(RUN_KEY, b"safeset record keys v1" + bytes([suite, kind]) + chunk_id, 64)
    if suite == 1:
        return head + cbc_body(keys[:32], keys[32:], head, inside)
    return head + b"\x66" * 12 + AESGCM(keys[:32]).encrypt(b"\x66" * 12, inside, head)


def record(kind: int, plaintext: bytes, suite: int = 1, codec: int = 0, padding_bytes: int = 0) -> bytes:
    return sealed(kind, record_id(kind, plaintext), inner(plaintext, codec, padding_bytes), suite)


def companion_body(level: int, ids: list[bytes], children: list[bytes]) -> bytes:
    head = struct.pack("<BI", level, len(ids)) + b"".join(ids)
    return head + struct.pack("<I", len(children)) + b"".join(children)


def companion(body: bytes) -> bytes:
    head = b"SSC1" + bytes([1, 0, 3, 0]) + KEYRING + bytes(16) + h(body) + struct.pack("<I", len(body))
    return with_check(head) + body


def kem1_private() -> bytes:
    return bytes(range(64)) + b"\x42" * 32


def kem1_public() -> hpke.MLKEM768X25519PublicKey:
    lattice = mlkem.MLKEM768PrivateKey.from_seed_bytes(bytes(range(64)))
    curve = x25519.X25519PrivateKey.from_private_bytes(b"\x42" * 32)
    return hpke.MLKEM768X25519PublicKey(lattice.public_key(), curve.public_key())


def kem1_public_bytes() -> bytes:
    lattice = mlkem.MLKEM768PrivateKey.from_seed_bytes(bytes(range(64)))
    curve = x25519.X25519PrivateKey.from_private_bytes(b"\x42" * 32)
    return lattice.public_key().public_bytes_raw() + curve.public_key().public_bytes_raw()


def keyring() -> bytes:
    first = [1, 1, kem1_private(), kem1_public_bytes(), ID_KEY, struct.pack("<Q", SEED), 1]
    signing = [[JOB, 1, SIGNING_SEED], [JOB, 2, NEWER_SIGNING_SEED]]
    return msgpack.packb([1, KEYRING, [first, [2, *first[1:6], 2], [3, *first[1:6], 2]], signing, {}])


def slot(kind: int, slot_id: bytes, memory_kib: int = 65_536) -> bytes:
    salt = b"\x55" * 16
    parameters = (memory_kib, 3, 1) if kind == 1 else (0, 0, 0)
    head = b"SSK1" + bytes([1, kind, 1, 0]) + slot_id + KEYRING + struct.pack("<IIII", 3, *parameters) + salt
    if kind == 1:
        secret = Argon2id(salt=salt, length=64, iterations=3, lanes=1, memory_cost=65_536).derive(PASSWORD.encode())
    else:
        secret = blake3(CODE + salt, derive_key_context="safeset 2026-11 recovery code v1").digest(length=64)
    keys = keyed(secret[:32], b"safeset slot keys v1", 96)
    plaintext = keyring()
    body_length = 16 + len(plaintext) + 16 - len(plaintext) % 16 + 32
    head += keyed(keys[64:], head) + struct.pack("<I", body_length)
    whole = head + cbc_body(keys[:32], keys[32:64], head, plaintext)
    return whole + h(whole)


def code_text() -> str:
    bits = "".join(f"{byte:08b}" for byte in CODE)
    groups = []
    for number in range(8):
        quarter = [bits[at : at + 5] for at in range(number * 20, number * 20 + 20, 5)]
        four = "".join(ALPHABET[int(five, 2)] for five in quarter)
        groups.append(four + ALPHABET[h(bytes([number]) + four.encode())[0] & 31])
    return "-".join(groups)


def run_key(kem: int = 1) -> bytes:
    head = b"SSY1" + bytes([1, kem, 0, 0]) + KEYRING + struct.pack("<I", 1) + JOB + RUN
    public: Any = kem1_public() if kem == 1 else x25519.X25519PrivateKey.from_private_bytes(b"\x42" * 32).public_key()
    algorithm = hpke.KEM.MLKEM768_X25519 if kem == 1 else hpke.KEM.X25519
    suite = hpke.Suite(algorithm, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM)
    body = suite.encrypt(RUN_KEY, public, info=b"safeset run key v1" + head)
    return head + struct.pack("<H", len(body)) + body


SEALED_RUN_KEY = run_key()
RUN_KEY_ID = h(SEALED_RUN_KEY)[:16]


def erase_key(kind: int, owner: bytes, key: bytes) -> bytes:
    return with_check(b"SSE1" + bytes([1, kind, 0, 0]) + owner + key)


def wrapped(kind: int, owner: bytes, key: bytes, purpose: bytes, item: tuple[bytes, bytes]) -> bytes:
    item_id, data = item
    head = b"SSW1" + bytes([1, kind, 0, 0]) + owner
    return with_check(head) + b"\x33" * 12 + AESGCM(key).encrypt(b"\x33" * 12, data, head + purpose + item_id)


def container_header(number: int) -> bytes:
    head = b"SSH1" + bytes([1, 0, 0, 0]) + VAULT + struct.pack("<QIq", number, 4096, CREATED)
    return with_check(head).ljust(4096, b"\0")


def pad(length_so_far: int) -> bytes:
    gap = -length_so_far % 4096
    if gap == 0:
        return b""
    total = gap if gap >= 16 else gap + 4096
    return with_check(b"SSP1" + struct.pack("<I", total)).ljust(total, b"\0")


def container(number: int, groups: list[list[bytes]]) -> bytes:
    """An open container; every inner list is one group commit."""
    data = container_header(number)
    for group in groups:
        data += b"".join(group)
        data += pad(len(data))
    return data


def seal(data: bytes, number: int, records: list[bytes]) -> bytes:
    rows = b""
    for one in records:
        place = struct.pack("<QIB3x", data.index(one), len(one), one[6])
        rows += place + one[8:24] + one[24:40] + one[40:72] + h(one)
    directory = b"SSD1" + struct.pack("<I", len(records)) + rows
    directory += h(directory)
    trailer = b"SSF1" + bytes(4) + struct.pack("<QQQQ", number, len(data), len(directory), len(records))
    data += directory
    return data + pad(len(data)) + with_check(trailer).ljust(4096, b"\0")


def entry(kind: int, number: int, previous: bytes, payload: Any) -> bytes:
    packed = msgpack.packb(payload)
    head = b"SSJ1" + struct.pack("<IHHIQq", 96 + len(packed), kind, 0, 1, number, CREATED + number) + previous
    return head + packed + h(head + packed)


def segment_header(first: int, previous: bytes) -> bytes:
    head = b"SSG1" + bytes([1, 0, 0, 0]) + VAULT + struct.pack("<IIQ", 1, 0, first) + previous
    return with_check(head + struct.pack("<q", CREATED) + bytes(8))


def journal(payloads: list[tuple[int, Any]], first: int = 1, previous: bytes = bytes(32)) -> bytes:
    data = segment_header(first, previous)
    for number, (kind, payload) in enumerate(payloads, first):
        one = entry(kind, number, previous, payload)
        data, previous = data + one, one[-32:]
    return data


def checkpoint(number: int, entry_hash: bytes, blocks: list[list[Any]]) -> bytes:
    head = b"SSB1" + bytes([1, 0, 0, 0]) + VAULT + struct.pack("<IIQ", 1, 0, number) + entry_hash
    data, hashes = with_check(head + struct.pack("<q", CREATED) + bytes(40)), b""
    for rows in blocks:
        packed = msgpack.packb(rows)
        data += struct.pack("<I", len(packed)) + packed + h(packed)
        hashes += h(packed)
    return data + struct.pack("<IQ", 0, sum(map(len, blocks))) + h(hashes)


def disk_identity(number: int) -> bytes:
    disk = bytes([0xD0 + number]) * 16
    return with_check(b"SSI1" + bytes([1, 0, 0, 0]) + VAULT + disk + struct.pack("<Iq", number, CREATED) + bytes(4))


def file_hash(content: bytes) -> bytes:
    return keyed(keyed(ID_KEY, b"safeset file hash v1"), content)


def file_entry(path: bytes, size: int, hashed: bytes | None, extents: list[int], extras: Any = None) -> list[Any]:
    row = [path, 1, 0o640, 7, 8, "nobody", None, -5, size, hashed, extents]
    return row if extras is None else [*row, extras]


def leaf(chunks: list[bytes], entries: list[Any]) -> tuple[bytes, bytes]:
    """The block's plaintext and the companion's body."""
    body = companion_body(0, sorted(chunks), [])
    return msgpack.packb([1, 0, h(body), b"".join(sorted(chunks)), entries]), body


def payload(block: bytes, companion_id: bytes, level: int, extras: Any = None) -> bytes:
    warnings = [[b"src/x", "gone"]]
    names = ["host", "documents", "office-1"]
    rest = [[b"/src"], ["*.tmp"], "1.0", 1, 2, warnings, 1, {} if extras is None else extras]
    return msgpack.packb([1, block, companion_id, level, *names, *rest])


@dataclass(frozen=True, slots=True)
class Tip:
    block: bytes
    companion: bytes
    level: int
    payload_hash: bytes


def root(tip: Tip, sequence: int = 1, previous: bytes = bytes(32)) -> bytes:
    head = b"SST1" + bytes([1, 1, 1, 0]) + KEYRING + struct.pack("<I", 1) + JOB + COMPUTER + RUN
    head += struct.pack("<IQ", 1, sequence) + previous + struct.pack("<q", CREATED)
    head += tip.payload_hash + tip.block + tip.companion + bytes([tip.level]) + bytes(7)
    head += struct.pack("<8Q", 2, 0, 0, 12, 1, 2, 3, 0)
    return head + ed25519.Ed25519PrivateKey.from_private_bytes(SIGNING_SEED).sign(b"safeset root v1" + head)


def write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def catalog(
    path: Path, version: bytes, tables: dict[str, dict[bytes, bytes]], position: tuple[int, int, bytes]
) -> Path:
    """LMDB; from format 2 on each row ends with the check of key and value."""

    def end(key: bytes, value: bytes) -> bytes:
        return value if version == b"1" else value + h(key + value)[:8]

    path.mkdir(exist_ok=True)
    with lmdb.open(str(path), max_dbs=64) as environment:
        named = tables | {"meta": {b"position": struct.pack("<IQ32s", *position)}}
        databases = {name: environment.open_db(name.encode()) for name in named}
        with environment.begin(write=True) as transaction:
            for name, rows in named.items():
                for key, value in rows.items():
                    transaction.put(key, end(key, value), db=databases[name])
            transaction.put(b"format", version, db=databases["meta"])
    return path
