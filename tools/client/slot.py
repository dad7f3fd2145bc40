"""A slot: the whole keyring, sealed under a password or a recovery code (docs/format.md, Slot).

A wrong password and damage are told apart: a commitment in a record whose checksum holds says which it is.
Deriving takes 64 MiB of memory and is slow on purpose; call it in a worker thread.
"""

import hmac
import os
import struct
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field

from blake3 import blake3
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from cryptography.hazmat.primitives.padding import PKCS7

from tools.client.keyring import Keyring, decode_keyring, encode_keyring
from tools.client.record_format import IntegrityError, LaterVersion, kdf, keyed
from tools.client.recovery_code import CODE_BYTES

KIND_PASSWORD = 1
KIND_RECOVERY_CODE = 2

MEMORY_KIB_BOUNDS = (65_536, 1_048_576)
PASSES_BOUNDS = (3, 16)
LANES_BOUNDS = (1, 8)

_HEADER = struct.Struct("<4sBBBB16s16sIIII16s")  # bytes 0..72, which the commitment covers
_MAGIC = b"SSK1"
_VERSION = 1
_SUITE = 1
_COMMITTED_BYTES = _HEADER.size
_BODY_START = 108
_BODY_LENGTH = struct.Struct("<I")
_IV_BYTES = 16
_TAG_BYTES = 32
_CHECKSUM_BYTES = 32
_BODY_BYTES_MAX = 1 << 20
_LENGTHS = struct.Struct("<QQ")
_RECOVERY_CONTEXT = "safeset 2026-11 recovery code v1"


class SlotDamaged(IntegrityError):
    """A slot's bytes are damaged or were altered, whatever the password is."""


class WrongPassword(Exception):
    """The slot is good, the password or recovery code is another one."""


@dataclass(frozen=True, slots=True)
class SlotParameters:
    """What must be known to derive a slot's keys; the vault gives it before it gives the slot."""

    slot_id: bytes
    kind: int
    memory_kib: int
    passes: int
    lanes: int
    salt: bytes


@dataclass(frozen=True, slots=True)
class SlotKeys:
    """The opening key stays here; the proof is shown to the vault, which keeps its hash."""

    opening_key: bytes = field(repr=False)
    proof: bytes = field(repr=False)

    @property
    def proof_hash(self) -> bytes:
        """What the vault keeps."""
        return blake3(self.proof).digest()


@dataclass(frozen=True, slots=True)
class NewSlot:
    """A slot that was just made, and the hash that the vault compares proofs with."""

    slot: bytes
    proof_hash: bytes


@dataclass(frozen=True, slots=True)
class _Header:
    parameters: SlotParameters
    keyring_id: bytes
    generation: int


def create_password_slot(keyring: Keyring, password: str) -> NewSlot:
    """A slot with the default cost, which is also the least that is accepted."""
    costs = (MEMORY_KIB_BOUNDS[0], PASSES_BOUNDS[0], LANES_BOUNDS[0])
    parameters = SlotParameters(os.urandom(16), KIND_PASSWORD, *costs, os.urandom(16))
    return _create(keyring, derive_keys(password, parameters), parameters)


def create_recovery_slot(keyring: Keyring, code: bytes) -> NewSlot:
    """A slot under the 20 bytes of a recovery code."""
    parameters = SlotParameters(os.urandom(16), KIND_RECOVERY_CODE, 0, 0, 0, os.urandom(16))
    return _create(keyring, derive_keys(code, parameters), parameters)


def derive_keys(secret: str | bytes, parameters: SlotParameters) -> SlotKeys:
    """The keys from a password (text) or a recovery code (20 bytes); SlotDamaged when the parameters are out of bounds.

    The bounds are judged first: a vault must not be able to make deriving cheap to guess or endless.
    """
    _check_parameters(parameters)
    if parameters.kind == KIND_PASSWORD and isinstance(secret, str):
        both = _argon2id(secret, parameters)
    elif parameters.kind == KIND_RECOVERY_CODE and isinstance(secret, bytes) and len(secret) == CODE_BYTES:
        both = blake3(secret + parameters.salt, derive_key_context=_RECOVERY_CONTEXT).digest(length=64)
    else:
        raise ValueError(f"a slot of kind {parameters.kind} takes another secret: kind 1 a password, kind 2 a code")
    return SlotKeys(both[:32], both[32:])


def open_slot(slot: bytes, keys: SlotKeys) -> Keyring:
    """The keyring; WrongPassword, SlotDamaged or LaterVersion."""
    header = _parse(slot)
    cipher_key, tag_key, commitment_key = _split(keys.opening_key)
    if not hmac.compare_digest(keyed(commitment_key, slot[:_COMMITTED_BYTES]), slot[_COMMITTED_BYTES:104]):
        raise WrongPassword("the password or recovery code is wrong")
    tag_start = len(slot) - _CHECKSUM_BYTES - _TAG_BYTES
    if not hmac.compare_digest(_tag(tag_key, slot[:tag_start]), slot[tag_start : tag_start + _TAG_BYTES]):
        raise SlotDamaged("the slot's tag is wrong: its bytes are damaged or were altered")
    try:
        keyring = decode_keyring(_decrypt(cipher_key, slot[_BODY_START:tag_start]))
    except LaterVersion:
        raise
    except (ValueError, IntegrityError) as error:
        raise SlotDamaged(f"the keyring in the slot is damaged: {error}") from None
    if keyring.keyring_id != header.keyring_id or keyring.newest.number != header.generation:
        raise SlotDamaged("the slot's header names another keyring or generation than it holds")
    return keyring


def open_slot_copies(copies: Sequence[bytes], keys: SlotKeys) -> Keyring:
    """The keyring from the first copy that is not damaged; SlotDamaged when all are."""
    damage = SlotDamaged("there is no copy of the slot")
    for copy in copies:
        try:
            return open_slot(copy, keys)
        except SlotDamaged as error:
            damage = error
    raise damage


def _create(keyring: Keyring, keys: SlotKeys, parameters: SlotParameters) -> NewSlot:
    p = parameters
    cipher_key, tag_key, commitment_key = _split(keys.opening_key)
    head = _HEADER.pack(
        _MAGIC, _VERSION, p.kind, _SUITE, 0, p.slot_id, keyring.keyring_id, keyring.newest.number,
        p.memory_kib, p.passes, p.lanes, p.salt,
    )  # fmt: skip
    sealed = _encrypt(cipher_key, encode_keyring(keyring))
    head += keyed(commitment_key, head) + _BODY_LENGTH.pack(len(sealed) + _TAG_BYTES)
    tagged = head + sealed
    slot = tagged + _tag(tag_key, tagged)
    slot += blake3(slot).digest()
    if open_slot(slot, keys) != keyring:
        raise SlotDamaged("the new slot does not hold the keyring it was made from: this machine's memory is faulty")
    return NewSlot(slot, keys.proof_hash)


def _parse(slot: bytes) -> _Header:
    if len(slot) < _BODY_START + _CHECKSUM_BYTES or blake3(slot[:-_CHECKSUM_BYTES]).digest() != slot[-_CHECKSUM_BYTES:]:
        raise SlotDamaged("the slot's checksum is wrong: its bytes are damaged")
    fields = _HEADER.unpack_from(slot)
    magic, version, kind, suite, reserved, slot_id, keyring_id, generation, memory_kib, passes, lanes, salt = fields
    for field_name, value, expected in (
        ("magic", magic, _MAGIC), ("version", version, _VERSION), ("suite", suite, _SUITE), ("reserved", reserved, 0),
    ):  # fmt: skip
        if value != expected:
            raise LaterVersion(f"the slot's {field_name} {value!r} is unknown to this program: a later version made it")
    (body_length,) = _BODY_LENGTH.unpack_from(slot, _BODY_START - _BODY_LENGTH.size)
    if body_length != len(slot) - _BODY_START - _CHECKSUM_BYTES or body_length > _BODY_BYTES_MAX:
        raise SlotDamaged(f"the slot's body_length {body_length} does not fit its {len(slot)} bytes")
    if body_length < _IV_BYTES + 16 + _TAG_BYTES or (body_length - _IV_BYTES - _TAG_BYTES) % 16:
        raise SlotDamaged(f"the slot's body_length {body_length} is not made of whole blocks")
    parameters = SlotParameters(slot_id, kind, memory_kib, passes, lanes, salt)
    _check_parameters(parameters)
    return _Header(parameters, keyring_id, generation)


def _check_parameters(parameters: SlotParameters) -> None:
    if parameters.kind == KIND_RECOVERY_CODE:
        bounds = ((0, 0), (0, 0), (0, 0))
    elif parameters.kind == KIND_PASSWORD:
        bounds = (MEMORY_KIB_BOUNDS, PASSES_BOUNDS, LANES_BOUNDS)
    else:
        raise LaterVersion(f"the slot's kind {parameters.kind} is unknown to this program: a later version made it")
    values = (parameters.memory_kib, parameters.passes, parameters.lanes)
    for name, value, (lowest, highest) in zip(("memory_kib", "passes", "lanes"), values, bounds, strict=True):
        if not lowest <= value <= highest:
            raise SlotDamaged(f"the slot's {name} {value} is outside {lowest}..{highest}")
    if len(parameters.salt) != 16:
        raise SlotDamaged("the slot's salt does not have 16 bytes")


def _argon2id(password: str, parameters: SlotParameters) -> bytes:
    if not password:
        raise ValueError("the password is empty")
    try:
        encoded = unicodedata.normalize("NFC", password).encode()
    except UnicodeEncodeError:
        raise ValueError("the password is not valid text: it must be UTF-8") from None
    argon2id = Argon2id(
        salt=parameters.salt,
        length=64,
        iterations=parameters.passes,
        lanes=parameters.lanes,
        memory_cost=parameters.memory_kib,
    )
    return argon2id.derive(encoded)


def _split(opening_key: bytes) -> tuple[bytes, bytes, bytes]:
    """Cipher key, tag key, commitment key."""
    keys = kdf(opening_key, b"safeset slot keys v1", 96)
    return keys[:32], keys[32:64], keys[64:]


def _tag(tag_key: bytes, tagged: bytes) -> bytes:
    lengths = _LENGTHS.pack(_BODY_START, len(tagged) - _BODY_START - _IV_BYTES)
    return keyed(tag_key, tagged + lengths)


def _encrypt(cipher_key: bytes, plaintext: bytes) -> bytes:
    iv = os.urandom(_IV_BYTES)
    padder = PKCS7(128).padder()
    padded = padder.update(plaintext) + padder.finalize()
    encryptor = Cipher(algorithms.AES256(cipher_key), modes.CBC(iv)).encryptor()
    return iv + encryptor.update(padded) + encryptor.finalize()


def _decrypt(cipher_key: bytes, sealed: bytes) -> bytes:
    decryptor = Cipher(algorithms.AES256(cipher_key), modes.CBC(sealed[:_IV_BYTES])).decryptor()
    unpadder = PKCS7(128).unpadder()
    return unpadder.update(decryptor.update(sealed[_IV_BYTES:]) + decryptor.finalize()) + unpadder.finalize()
