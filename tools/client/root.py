"""The root of a safeset: a public part that the job's key signs, and a sealed payload (docs/format.md, Root)."""

import struct
from dataclasses import astuple, dataclass

from blake3 import blake3
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from tools.client.record_format import PLAIN_BYTES_MAX, Buffer, IntegrityError, LaterVersion, RecordType, Suite
from tools.client.strict_msgpack import counted, elements, of_version, pack, sized, typed, unpack_array

ROOT_BYTES = 360
WARNINGS_MAX = 1_000
SYSTEM_POSIX = 1

_BODY = struct.Struct("<BBB16sI16s16s16sIQ32sq32s32s32sB7sQQQQQQQQ")
_HEAD = struct.Struct("<4sB")
_GENERATION = struct.Struct("<I")
_GENERATION_OFFSET = 24
_MAGIC = b"SST1"
_VERSION = 1
_SIGNED_BYTES = 296
_ROOT_LABEL = b"safeset root v1"
_COUNTERSIGNATURE_LABEL = b"safeset countersignature v1"
_LEVEL_MAX = 255
_SYSTEM_MAX = 255
_EXTRA_MAX = 2**64 - 1
_TIME_MAX = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Figures:
    """What people read about a run without opening anything."""

    files: int
    directories: int
    others: int
    protected_bytes: int
    new_chunks: int
    new_bytes: int
    reused_bytes: int
    warnings: int


@dataclass(frozen=True, slots=True)
class Root:
    """The public part, without its signature."""

    suite: int
    complete: bool
    keyring_id: bytes
    generation: int
    job_id: bytes
    computer_id: bytes
    run_id: bytes
    timeline: int
    sequence: int
    previous: bytes
    agent_time_ns: int
    payload_hash: bytes
    top_block: bytes
    top_companion: bytes
    level: int
    figures: Figures


@dataclass(frozen=True, slots=True)
class Payload:
    """The sealed part. `warnings` are (path, code), at most 1,000; the public part counts all of them.

    `system`: whose paths these are, SYSTEM_POSIX or a number that this program does not write.
    """

    top_block: bytes
    top_companion: bytes
    level: int
    host_name: str
    job_name: str
    computer_name: str
    includes: tuple[bytes, ...]
    excludes: tuple[str, ...]
    agent_version: str
    begin_ns: int
    end_ns: int
    warnings: tuple[tuple[bytes, str], ...]
    system: int


def sign_root(root: Root, signing_seed: bytes, minimum_suite: int) -> bytes:
    """The 360 bytes that are committed; ValueError for a suite that the keyring's newest generation does not take."""
    r = root
    if r.suite < minimum_suite:
        raise ValueError(f"a root of suite {r.suite} is not signed: the minimum of its generation is {minimum_suite}")
    signed = _HEAD.pack(_MAGIC, _VERSION) + _BODY.pack(
        r.suite, r.complete, 0, r.keyring_id, r.generation, r.job_id, r.computer_id, r.run_id, r.timeline, r.sequence,
        r.previous, r.agent_time_ns, r.payload_hash, r.top_block, r.top_companion, r.level, bytes(7),
        *astuple(r.figures),
    )  # fmt: skip
    return signed + Ed25519PrivateKey.from_private_bytes(signing_seed).sign(_ROOT_LABEL + signed)


def root_hash(encoded: bytes) -> bytes:
    """What the next root names as `previous`, and what the vault countersigns."""
    return blake3(encoded).digest()


def generation_of(encoded: bytes) -> int:
    """The generation that a root names, before anything of it is verified: it tells which key must have signed it."""
    _check_length(encoded)
    generation: int = _GENERATION.unpack_from(encoded, _GENERATION_OFFSET)[0]
    return generation


def open_root(encoded: bytes, signing_key: bytes) -> Root:
    """The root when the job's key signed it; IntegrityError otherwise."""
    _check_length(encoded)
    signed, signature = encoded[:_SIGNED_BYTES], encoded[_SIGNED_BYTES:]
    magic, version = _HEAD.unpack_from(signed)
    if magic != _MAGIC or version != _VERSION:
        raise LaterVersion(f"the root's magic {magic!r} or version {version} is unknown to this program")
    _verify(signing_key, signature, _ROOT_LABEL + signed, "the root is not signed by the job's key")
    fields = _BODY.unpack_from(signed, _HEAD.size)
    suite, complete, reserved = fields[:3]
    if suite not in list(Suite) or complete not in (0, 1) or reserved or any(fields[16]):
        raise LaterVersion(f"the root's suite {suite}, complete {complete} or a reserved byte is unknown")
    values = (suite, bool(complete), *fields[3:16], Figures(*fields[17:]))
    return Root(*values)


def verify_countersignature(
    hash: bytes, vault_id: bytes, vault_time_ns: int, countersignature: bytes, vault_key: bytes
) -> None:
    """IntegrityError unless this vault took this root at that time."""
    message = _COUNTERSIGNATURE_LABEL + hash + vault_id + struct.pack("<q", vault_time_ns)
    _verify(vault_key, countersignature, message, "the safeset is not countersigned by this vault")


def encode_payload(payload: Payload) -> bytes:
    """The plaintext of a record of type 4. Warnings beyond 1,000 or beyond the record's limit are left out."""
    p = payload
    head = [
        _VERSION, p.top_block, p.top_companion, p.level, p.host_name, p.job_name, p.computer_name,
        list(p.includes), list(p.excludes), p.agent_version, p.begin_ns, p.end_ns,
    ]  # fmt: skip
    limit = PLAIN_BYTES_MAX[RecordType.ROOT]
    room = (
        limit - len(pack([*head, [], p.system, {}])) - 4
    )  # an array of up to 1,000 needs two bytes more than an empty one
    if room < 0:
        raise ValueError(f"includes and excludes are too long: a safeset's payload has at most {limit} bytes")
    kept: list[list[object]] = []
    for path, code in p.warnings[:WARNINGS_MAX]:
        room -= len(pack([path, code]))
        if room < 0:
            break
        kept.append([path, code])
    return pack([*head, kept, p.system, {}])


def decode_payload(plaintext: Buffer) -> Payload:
    """Raises IntegrityError that names the field."""
    array = of_version(unpack_array(plaintext, "root payload"), _VERSION, 15, "root payload")
    warnings = [elements(item, 2, "warning") for item in typed(array[12], list, "warnings")]
    counted(len(warnings), 0, WARNINGS_MAX, "the number of warnings")
    for number in typed(array[14], dict, "extras"):  # what a later version says of the safeset: nothing needs it
        counted(number, 1, _EXTRA_MAX, "the number of an extra")
    return Payload(
        sized(array[1], 32, "top block"),
        sized(array[2], 32, "top companion"),
        counted(array[3], 0, _LEVEL_MAX, "level"),
        typed(array[4], str, "host name"),
        typed(array[5], str, "job name"),
        typed(array[6], str, "computer name"),
        tuple(typed(item, bytes, "include") for item in typed(array[7], list, "includes")),
        tuple(typed(item, str, "exclude") for item in typed(array[8], list, "excludes")),
        typed(array[9], str, "agent version"),
        counted(array[10], -_TIME_MAX, _TIME_MAX, "begin"),
        counted(array[11], -_TIME_MAX, _TIME_MAX, "end"),
        tuple((typed(path, bytes, "warning's path"), typed(code, str, "warning's code")) for path, code in warnings),
        counted(array[13], 1, _SYSTEM_MAX, "system"),
    )


def check_payload(root: Root, payload: Payload) -> None:
    """IntegrityError unless the sealed part says the same as the public part."""
    if (root.top_block, root.top_companion, root.level) != (payload.top_block, payload.top_companion, payload.level):
        raise IntegrityError("the safeset's public part names another manifest than its sealed part")


def _check_length(encoded: bytes) -> None:
    if len(encoded) != ROOT_BYTES:
        raise IntegrityError(f"the root has {len(encoded)} bytes, not {ROOT_BYTES}")


def _verify(public_key: bytes, signature: bytes, message: bytes, sentence: str) -> None:
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, message)
    except (InvalidSignature, ValueError):
        raise IntegrityError(sentence) from None
