"""Sealing chunks into records and opening records into chunks (docs/format.md, Record).

Sealer and opener hold no state that changes: any number of threads may use one at once. The big steps (compressing,
cipher, hashes) release the GIL. Each thread decrypts into a scratch buffer of its own, because fresh memory for every
chunk costs more than decrypting it.
"""

import hmac
import os
import struct
import threading
from collections.abc import Mapping
from dataclasses import dataclass

from blake3 import blake3
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tools.client.compression import CODEC_STORED, CODEC_ZSTD, compress, decompress
from tools.client.record_format import (
    HEADER_BYTES,
    PLAIN_BYTES_MAX,
    RECORD_BYTES_MAX,
    RECORD_MAGIC,
    Buffer,
    IntegrityError,
    LaterVersion,
    RecordHeader,
    RecordType,
    Suite,
    chunk_id,
    cid,
    pack_header,
    parse_header,
    record_keys,
)
from tools.client.run_key import OpenedRunKey

_INNER = struct.Struct("<IBI")  # plain_length, codec, padding_length
_LENGTHS = struct.Struct("<QQ")
_BLOCK_BYTES = 16
_CBC_IV_BYTES = 16
_CBC_TAG_BYTES = 32
_GCM_IV_BYTES = 12
_GCM_TAG_BYTES = 16


@dataclass(frozen=True, slots=True)
class SealedRecord:
    """A record that was opened again after it was sealed; `record` is read-only."""

    record: memoryview
    cid: bytes


class _Scratch(threading.local):
    """One growing buffer per thread for what was just decrypted; its content lives until the thread's next record."""

    def __init__(self) -> None:
        self._buffer = bytearray(1 << 16)

    def view(self, size_bytes: int) -> memoryview:
        if len(self._buffer) < size_bytes:
            rounded = -(-size_bytes // (1 << 20)) << 20
            self._buffer = bytearray(rounded)
        return memoryview(self._buffer)


_scratch = _Scratch()


class RecordSealer:
    """Seals chunks under one run key. Every record is opened again before it is handed out."""

    def __init__(
        self, run_key: bytes, keyring_id: bytes, key_id: bytes, id_key: bytes, suite: int, compression_level: int
    ) -> None:
        if not 0 <= compression_level <= 9:
            raise ValueError(f"compression level {compression_level} is not in 0..9")
        self._run_key = run_key
        self._keyring_id = keyring_id
        self._key_id = key_id
        self._id_key = id_key
        self._suite = Suite(suite)
        self._compression_level = compression_level

    def seal(self, type: int, id: bytes, plaintext: Buffer) -> SealedRecord:
        """The record of a chunk whose id the caller has computed; a wrong id is found when the record is opened."""
        limit = PLAIN_BYTES_MAX[RecordType(type)]
        if len(plaintext) > limit:
            raise ValueError(f"a chunk of type {type} has at most {limit} bytes, not {len(plaintext)}")
        codec, data = compress(plaintext, self._compression_level)
        keys = record_keys(self._run_key, self._suite, type, id)
        record = self._frame(type, id, _sealed_length(self._suite, _INNER.size + len(data)))
        view = memoryview(record)
        encrypt = _encrypt_cbc if self._suite is Suite.CBC_BLAKE3 else _encrypt_gcm
        encrypt(keys, view, _INNER.pack(len(plaintext), codec, 0), data)
        self._verify(keys, view, type, id)
        return SealedRecord(view.toreadonly(), cid(record))

    def _frame(self, type: int, id: bytes, body_length: int) -> bytearray:
        header = RecordHeader(RECORD_MAGIC, self._suite, type, self._keyring_id, self._key_id, id, body_length)
        record = bytearray(HEADER_BYTES + body_length)
        record[:HEADER_BYTES] = pack_header(header)
        return record

    def _verify(self, keys: tuple[bytes, bytes], record: memoryview, type: int, id: bytes) -> None:
        """What opening will do later, now, while the content is still at hand."""
        try:
            opened = _open_body(keys, record, self._suite, PLAIN_BYTES_MAX[RecordType(type)])
        except (ValueError, InvalidTag):
            opened = None
        if opened is None or not hmac.compare_digest(chunk_id(self._id_key, type, opened), id):
            raise IntegrityError(
                f"record {id.hex()} was not sealed: opening it again gave other bytes "
                "(the content changed meanwhile, or this machine's memory is faulty)"
            )


class RecordOpener:
    """Opens records whose run keys the mapping holds, by key id. The mapping may grow while records are opened."""

    def __init__(self, run_keys: Mapping[bytes, OpenedRunKey]) -> None:
        self._run_keys = run_keys

    def open(self, record: Buffer, expected_id: bytes, expected_type: int) -> bytes:
        """The chunk of a record. Whatever is wrong with it, the error is the same one."""
        try:
            return self._open(memoryview(record), expected_id, RecordType(expected_type))
        except (ValueError, KeyError, InvalidTag) as error:
            raise IntegrityError(
                f"record {expected_id.hex()} did not open: its bytes are damaged or were altered"
            ) from error

    def _open(self, record: memoryview, expected_id: bytes, expected_type: RecordType) -> bytes:
        header = parse_header(record)
        if header.magic != RECORD_MAGIC or header.id != expected_id or header.type != expected_type:
            raise ValueError("it is another record than the one that was asked for")
        suite = Suite(header.suite)
        run = self._run_keys[header.key_id]
        if suite < run.minimum_suite:
            raise ValueError(f"its suite {suite} is below the minimum {run.minimum_suite} of its generation")
        keys = record_keys(run.run_key, suite, header.type, header.id)
        opened = _open_body(keys, record, suite, PLAIN_BYTES_MAX[expected_type])
        if not hmac.compare_digest(chunk_id(run.id_key, header.type, opened), expected_id):
            raise ValueError("its content has another id")
        return bytes(opened)


def _sealed_length(suite: Suite, inner_length: int) -> int:
    """Bytes of a body around an inner plaintext of that length."""
    if suite is Suite.GCM:
        return _GCM_IV_BYTES + inner_length + _GCM_TAG_BYTES
    return _CBC_IV_BYTES + (inner_length // _BLOCK_BYTES + 1) * _BLOCK_BYTES + _CBC_TAG_BYTES


def _encrypt_cbc(keys: tuple[bytes, bytes], record: memoryview, inner_header: bytes, data: Buffer) -> None:
    """Fills the body behind the header. The cipher takes the pieces as they are: the data is never copied."""
    iv = os.urandom(_CBC_IV_BYTES)
    start = HEADER_BYTES + _CBC_IV_BYTES
    record[HEADER_BYTES:start] = iv
    end = len(record) - _CBC_TAG_BYTES
    pad = (end - start) - len(inner_header) - len(data)
    encryptor = Cipher(algorithms.AES256(keys[0]), modes.CBC(iv)).encryptor()
    written = start
    for piece in (inner_header, data, bytes((pad,)) * pad):
        # update_into asks for room of a block more than it writes; the tag's place, still empty, is that room.
        written += encryptor.update_into(piece, record[written:])
    if written != end:
        raise ValueError("the cipher wrote another length than the record has room for")
    record[end:] = _cbc_tag(keys[1], record[:end])


def _cbc_tag(tag_key: bytes, tagged: memoryview) -> bytes:
    """The tag over header, IV and ciphertext, which lie one behind the other in the record."""
    hasher = blake3(tagged, key=tag_key)
    hasher.update(_LENGTHS.pack(HEADER_BYTES, len(tagged) - HEADER_BYTES - _CBC_IV_BYTES))
    return hasher.digest()


def _encrypt_gcm(keys: tuple[bytes, bytes], record: memoryview, inner_header: bytes, data: Buffer) -> None:
    """Fills the body behind the header, like its CBC twin."""
    iv = os.urandom(_GCM_IV_BYTES)
    written = HEADER_BYTES + _GCM_IV_BYTES
    record[HEADER_BYTES:written] = iv
    encryptor = Cipher(algorithms.AES256(keys[0]), modes.GCM(iv)).encryptor()
    encryptor.authenticate_additional_data(record[:HEADER_BYTES])
    for piece in (inner_header, data):
        written += encryptor.update_into(piece, record[written:])
    encryptor.finalize()
    record[written:] = encryptor.tag


def _open_body(keys: tuple[bytes, bytes], record: memoryview, suite: Suite, plain_bytes_max: int) -> Buffer:
    """The chunk in a record with a good header; valid until this thread opens or seals again.

    ValueError or InvalidTag when anything is wrong; nothing is decrypted to a result before its tag was right.
    """
    if len(record) > RECORD_BYTES_MAX:
        raise ValueError(f"a record has at most {RECORD_BYTES_MAX} bytes")
    inner = _decrypt_cbc(keys, record) if suite is Suite.CBC_BLAKE3 else _decrypt_gcm(keys[0], record)
    if len(inner) < _INNER.size:
        raise ValueError("the inner header is cut off")
    plain_length, codec, padding_length = _INNER.unpack_from(inner)
    end = len(inner) - padding_length
    if plain_length > plain_bytes_max or end < _INNER.size or any(inner[end:]):
        raise ValueError("the inner lengths or the padding are wrong")
    data = inner[_INNER.size : end]
    if codec == CODEC_ZSTD:
        return decompress(data, plain_length)
    if codec != CODEC_STORED:
        raise LaterVersion(f"the record's codec {codec} is unknown to this program: a later version made it")
    if len(data) != plain_length:
        raise ValueError("the data has another length than it says")
    return data


def _decrypt_cbc(keys: tuple[bytes, bytes], record: memoryview) -> memoryview:
    start, end = HEADER_BYTES + _CBC_IV_BYTES, len(record) - _CBC_TAG_BYTES
    size = end - start
    if size < _BLOCK_BYTES or size % _BLOCK_BYTES:
        raise ValueError("the ciphertext is not made of whole blocks")
    if not hmac.compare_digest(_cbc_tag(keys[1], record[:end]), bytes(record[end:])):
        raise ValueError("the tag is wrong")
    scratch = _scratch.view(size + _BLOCK_BYTES)
    decryptor = Cipher(algorithms.AES256(keys[0]), modes.CBC(bytes(record[HEADER_BYTES:start]))).decryptor()
    decryptor.update_into(record[start:end], scratch)
    pad = scratch[size - 1]
    if not 1 <= pad <= _BLOCK_BYTES or scratch[size - pad : size] != bytes((pad,)) * pad:
        raise ValueError("the padding is wrong")
    return scratch[: size - pad]


def _decrypt_gcm(cipher_key: bytes, record: memoryview) -> memoryview:
    start = HEADER_BYTES + _GCM_IV_BYTES
    size = len(record) - start - _GCM_TAG_BYTES
    if size < 0:
        raise ValueError("the ciphertext is cut off")
    scratch = _scratch.view(size)[:size]
    AESGCM(cipher_key).decrypt_into(record[HEADER_BYTES:start], record[start:], record[:HEADER_BYTES], scratch)
    return scratch
