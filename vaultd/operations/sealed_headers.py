"""The clear headers of what agents and creators of jobs seal: slots, run keys, job secrets (docs/format.md). Pure.

The vault opens none of them; it refuses what is not bound to the job, run and keyring it is sent for.
"""

import struct
from dataclasses import dataclass

from blake3 import blake3
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from vaultd.errors import BadRequest

PASSWORD_SLOT = 1
RECOVERY_SLOT = 2
SLOT_BYTES_MAX = 262_144
# KEM 1 is ML-KEM-768 with X25519, KEM 2 is X25519.
PUBLIC_KEY_BYTES = {1: 1216, 2: 32}
SEALED_RUN_KEY_BYTES = {1: 1120 + 32 + 16, 2: 32 + 32 + 16}
SECRET_BYTES_MAX = 8192
SECRET_PURPOSE_KEYRING = 1
SECRET_PURPOSE_NEW_KEYS = 2
SECRET_PURPOSE_RESTORE = 3
ORDER_BYTES_MAX = 65_536
FINGERPRINT_BYTES = 20
FINGERPRINT_LABEL = b"safeset agent key v1"
RECOVERY_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

_SLOT = struct.Struct("<4sBBBB16s16sIIII16s32sI")
_SLOT_CHECKSUM_BYTES = 32
_RUN_KEY = struct.Struct("<4sBBH16sI16s16sH")
_SECRET = struct.Struct("<4sBBBB16s16s16s16s20sI")
_SECRET_LABEL = b"safeset job secret signature v1"
_SECRET_TAIL = struct.Struct("<32s64s")
# Argon2id bounds: memory in KiB, passes, lanes.
_MEMORY_KIB = range(65_536, 1_048_577)
_PASSES = range(3, 17)
_LANES = range(1, 9)


@dataclass(frozen=True, slots=True)
class SlotHeader:
    slot_id: bytes
    kind: int
    keyring_id: bytes
    generation: int
    memory_kib: int
    passes: int
    lanes: int
    salt: bytes


@dataclass(frozen=True, slots=True)
class RunKeyHeader:
    kem: int
    keyring_id: bytes
    generation: int
    job_id: bytes
    run_id: bytes


@dataclass(frozen=True, slots=True)
class SecretHeader:
    account_id: bytes
    computer_id: bytes
    job_id: bytes
    message_id: bytes
    agent_key: bytes
    creator_key: bytes
    purpose: int


def parse_slot(data: bytes) -> SlotHeader:
    if not _SLOT.size + _SLOT_CHECKSUM_BYTES < len(data) <= SLOT_BYTES_MAX:
        raise BadRequest(f"slot: {len(data)} bytes are not the length of a slot")
    magic, version, kind, suite, reserved, slot_id, keyring_id, generation, memory, passes, lanes, salt, _, length = (
        _SLOT.unpack_from(data)
    )
    if blake3(data[:-_SLOT_CHECKSUM_BYTES]).digest() != data[-_SLOT_CHECKSUM_BYTES:]:
        raise BadRequest("slot: checksum does not hold")
    if (magic, version, suite, reserved) != (b"SSK1", 1, 1, 0):
        raise BadRequest(f"slot: magic {magic.hex()}, version {version}, suite {suite} or {reserved} is unknown")
    if length != len(data) - _SLOT.size - _SLOT_CHECKSUM_BYTES:
        raise BadRequest(f"slot: body_length {length} does not fit {len(data)} bytes")
    _check_slot_kind(kind, memory, passes, lanes)
    return SlotHeader(slot_id, kind, keyring_id, generation, memory, passes, lanes, salt)


def parse_run_key(data: bytes) -> RunKeyHeader:
    if len(data) < _RUN_KEY.size:
        raise BadRequest(f"sealed_key: {len(data)} bytes are too short for a sealed run key")
    magic, version, kem, reserved, keyring_id, generation, job_id, run_id, length = _RUN_KEY.unpack_from(data)
    if (magic, version, reserved) != (b"SSY1", 1, 0):
        raise BadRequest(f"sealed_key: magic {magic.hex()}, version {version} or reserved {reserved} is unknown")
    if kem not in SEALED_RUN_KEY_BYTES:
        raise BadRequest(f"sealed_key: kem {kem} is unknown")
    if length != SEALED_RUN_KEY_BYTES[kem] or len(data) != _RUN_KEY.size + length:
        raise BadRequest(f"sealed_key: sealed_length {length} does not fit kem {kem} and {len(data)} bytes")
    return RunKeyHeader(kem, keyring_id, generation, job_id, run_id)


def parse_secret(data: bytes, bytes_max: int = SECRET_BYTES_MAX) -> SecretHeader:
    """The signature holds, whoever it is of."""
    if not _SECRET.size + _SECRET_TAIL.size < len(data) <= bytes_max:
        raise BadRequest(f"secret: {len(data)} bytes are not the length of a job secret")
    magic, version, kem, purpose, reserved, *ids, agent_key, length = _SECRET.unpack_from(data)
    if (magic, version, reserved) != (b"SSM1", 1, 0):
        raise BadRequest(f"secret: magic {magic.hex()}, version {version} or reserved {reserved} is unknown")
    if kem != 1:
        raise BadRequest(f"secret: kem {kem} is not the one of an agent key (1)")
    if purpose not in (SECRET_PURPOSE_KEYRING, SECRET_PURPOSE_NEW_KEYS, SECRET_PURPOSE_RESTORE):
        raise BadRequest(f"secret: purpose {purpose} is unknown")
    if length != len(data) - _SECRET.size - _SECRET_TAIL.size:
        raise BadRequest(f"secret: sealed_length {length} does not fit {len(data)} bytes")
    creator_key, signature = _SECRET_TAIL.unpack_from(data, len(data) - _SECRET_TAIL.size)
    if not is_signed(creator_key, signature, _SECRET_LABEL + data[: -_SECRET_TAIL.size]):
        raise BadRequest("secret: signature is not that of its creator_key")
    account_id, computer_id, job_id, message_id = ids
    return SecretHeader(account_id, computer_id, job_id, message_id, agent_key, creator_key, purpose)


def is_signed(public_key: bytes, signature: bytes, signed: bytes) -> bool:
    """Ed25519; a key that is none signs nothing."""
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, signed)
    except (InvalidSignature, ValueError):
        return False
    return True


def agent_key_fingerprint(spki: bytes, sealing_key: bytes) -> bytes:
    """20 bytes over both keys of an agent."""
    data = FINGERPRINT_LABEL + len(spki).to_bytes(4, "little") + spki + sealing_key
    return blake3(data).digest(length=FINGERPRINT_BYTES)


def fingerprint_text(fingerprint: bytes) -> str:
    """32 characters in groups of four."""
    number = int.from_bytes(fingerprint, "big")
    characters = [RECOVERY_ALPHABET[number >> shift & 31] for shift in range(155, -1, -5)]
    return "-".join("".join(characters[at : at + 4]) for at in range(0, 32, 4))


def _check_slot_kind(kind: int, memory: int, passes: int, lanes: int) -> None:
    if kind == PASSWORD_SLOT:
        if memory not in _MEMORY_KIB or passes not in _PASSES or lanes not in _LANES:
            raise BadRequest(f"slot: memory_kib {memory}, passes {passes} or lanes {lanes} is out of bounds")
    elif kind == RECOVERY_SLOT:
        if memory or passes or lanes:
            raise BadRequest("slot: memory_kib, passes and lanes of a recovery slot must be 0")
    else:
        raise BadRequest(f"slot: kind {kind} is unknown")
