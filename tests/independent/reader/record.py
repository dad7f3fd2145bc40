"""A record: the header that anybody reads, and the sealed body that only a run key opens."""

from __future__ import annotations

import hmac
import struct
from dataclasses import dataclass

import zstandard
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from .damage import Damage, require
from .hashing import kdf, keyed, plain, require_checksum

HEADER = struct.Struct("<4sBBBB16s16s32sI8s")
RECORD_LIMIT_BYTES = 5_242_880
DATA, MANIFEST_BLOCK, COMPANION, ROOT_PAYLOAD = 1, 2, 3, 4
PLAIN_LIMIT_BYTES = {DATA: 4_194_304, MANIFEST_BLOCK: 4_194_304, ROOT_PAYLOAD: 262_144}
MAGIC_SEALED, MAGIC_CLEAR = b"SSR1", b"SSC1"


@dataclass(frozen=True, slots=True)
class Header:
    magic: bytes
    suite: int
    type: int
    keyring: bytes
    key: bytes
    id: bytes
    body_length: int

    @property
    def length(self) -> int:
        return HEADER.size + self.body_length


@dataclass(frozen=True, slots=True)
class RunSecrets:
    """What opens the records of one run."""

    run_key: bytes
    id_key: bytes
    minimum_suite: int


def parse_header(raw: bytes) -> Header:
    require(len(raw) >= HEADER.size, "a record header is cut short")
    magic, version, suite, kind, flags, keyring, key, chunk_id, body_length, _ = HEADER.unpack_from(raw)
    require(magic in (MAGIC_SEALED, MAGIC_CLEAR), f"{magic!r} is not the magic of a record")
    require_checksum(raw[: HEADER.size], 76, "a record header")
    require(version == 1, f"record version {version} is unknown")
    require(flags == 0, f"record flags {flags} are unknown")
    if magic == MAGIC_SEALED:
        require(suite in (1, 2), f"record suite {suite} is unknown")
        require(kind in PLAIN_LIMIT_BYTES, f"record type {kind} is unknown")
    else:
        require((suite, kind) == (0, COMPANION), f"a companion record has suite {suite} and type {kind}")
        require(key == bytes(16), "a companion record names a key")
    require(HEADER.size + body_length <= RECORD_LIMIT_BYTES, f"a record of {body_length} body bytes passes 5 MiB")
    return Header(magic, suite, kind, keyring, key, chunk_id, body_length)


def cid(record: bytes) -> bytes:
    return plain(record)


def chunk_id(id_key: bytes, kind: int, plaintext: bytes) -> bytes:
    return keyed(id_key, bytes([kind]) + plaintext)


def open_record(record: bytes, secrets: RunSecrets) -> bytes:
    """The plaintext of a sealed record, after every check of the page in its order."""
    header = parse_header(record)
    require(header.magic == MAGIC_SEALED, "a companion record is not a sealed record")
    require(len(record) == header.length, "a record is longer or shorter than its header says")
    require(header.suite >= secrets.minimum_suite, f"suite {header.suite} is below the minimum of its generation")
    label = b"safeset record keys v1" + bytes([header.suite, header.type]) + header.id
    keys = kdf(secrets.run_key, label, 64)
    head, body = record[: HEADER.size], record[HEADER.size :]
    inner = open_cbc(keys[:32], keys[32:], head, body) if header.suite == 1 else open_gcm(keys[:32], head, body)
    plaintext = unpack_inner(inner, PLAIN_LIMIT_BYTES[header.type])
    require(hmac.compare_digest(chunk_id(secrets.id_key, header.type, plaintext), header.id), "a record has another id")
    return plaintext


def open_cbc(cipher_key: bytes, tag_key: bytes, head: bytes, body: bytes) -> bytes:
    """Suite 1 of records and the body of slots: IV, AES-256-CBC, and a keyed BLAKE3 tag over both and the header."""
    require(len(body) >= 16 + 16 + 32, "a sealed body is too short")
    iv, ciphertext, tag = body[:16], body[16:-32], body[-32:]
    lengths = struct.pack("<QQ", len(head), len(ciphertext))
    expected = keyed(tag_key, head + iv + ciphertext + lengths)
    require(hmac.compare_digest(expected, tag), "the tag of a sealed body is wrong")
    require(len(ciphertext) % 16 == 0, "a ciphertext is not whole AES blocks")
    decryptor = Cipher(algorithms.AES(cipher_key), modes.CBC(iv)).decryptor()
    padded = decryptor.update(ciphertext) + decryptor.finalize()
    count = padded[-1]
    require(1 <= count <= 16 and padded[-count:] == bytes([count]) * count, "the PKCS#7 padding is wrong")
    return padded[:-count]


def open_gcm(cipher_key: bytes, head: bytes, body: bytes) -> bytes:
    require(len(body) >= 12 + 16, "a sealed body is too short")
    try:
        return AESGCM(cipher_key).decrypt(body[:12], body[12:], head)
    except InvalidTag as error:
        raise Damage("the tag of a sealed body is wrong") from error


def unpack_inner(inner: bytes, limit_bytes: int) -> bytes:
    require(len(inner) >= 9, "an inner plaintext is too short")
    plain_length, codec, padding_length = struct.unpack_from("<IBI", inner)
    require(plain_length <= limit_bytes, f"a plain length of {plain_length} passes the limit of its type")
    require(9 + padding_length <= len(inner), "the padding is longer than the inner plaintext")
    end = len(inner) - padding_length
    require(not any(inner[end:]), "the padding of an inner plaintext is not zero")
    data = inner[9:end]
    require(codec in (0, 1), f"codec {codec} is unknown")
    plaintext = data if codec == 0 else decompress(data, plain_length)
    require(len(plaintext) == plain_length, "a chunk has another length than it declares")
    return plaintext


def decompress(frame: bytes, plain_length: int) -> bytes:
    try:
        declared = zstandard.get_frame_parameters(frame).content_size
        require(declared == plain_length, "a zstd frame declares another content size than the record")
        return zstandard.ZstdDecompressor().decompress(frame, max_output_size=plain_length, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise Damage(f"a zstd frame does not decompress: {error}") from error
