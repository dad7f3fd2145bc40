"""The public part of a safeset's root, and the vault's countersignature over it (docs/format.md#root). Pure."""

import struct
from dataclasses import dataclass

from blake3 import blake3
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from vaultd.errors import BadRequest
from vaultd.operations.sealed_headers import is_signed
from vaultd.records import EndedSafeset

ROOT_BYTES = 360
SIGNED_BYTES = 296
ROOT_LABEL = b"safeset root v1"
COUNTERSIGNATURE_LABEL = b"safeset countersignature v1"
END_LABEL = b"safeset end v1"
# A figure above this is no figure but a mistake: 2^60 bytes are an exbibyte.
FIGURE_MAX = 1 << 60
RECORD_BYTES_MIN = 84
FIGURES = (
    "files",
    "directories",
    "others",
    "protected_bytes",
    "new_chunks",
    "new_bytes",
    "reused_bytes",
    "warnings",
)
_ROOT = struct.Struct("<4sBBBB16sI16s16s16sIQ32sq32s32s32sB7sQQQQQQQQ64s")


@dataclass(frozen=True, slots=True)
class Root:
    """The fields in the order of the bytes, without magic, version and reserved ones."""

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
    files: int
    directories: int
    others: int
    protected_bytes: int
    new_chunks: int
    new_bytes: int
    reused_bytes: int
    warnings: int
    signature: bytes


def parse_root(data: bytes | memoryview) -> Root:
    if len(data) != ROOT_BYTES:
        raise BadRequest(f"root: {len(data)} bytes are not the {ROOT_BYTES} of a root")
    magic, version, suite, complete, reserved, *fields = _ROOT.unpack(data)
    if magic != b"SST1" or version != 1:
        raise BadRequest(f"root: magic {magic.hex()} with version {version} is unknown")
    if suite not in (1, 2):
        raise BadRequest(f"root: suite {suite} is unknown")
    if complete not in (0, 1):
        raise BadRequest(f"root: complete must be 0 or 1, not {complete}")
    reserved2 = fields.pop(13)
    if reserved or any(reserved2):
        raise BadRequest("root: reserved bytes must be zero")
    return Root(suite, bool(complete), *fields)


def check_figures(root: Root) -> None:
    """What no honest run can tell; that a figure is true, the vault cannot see."""
    for name in FIGURES:
        if getattr(root, name) > FIGURE_MAX:
            raise BadRequest(f"root: {name} {getattr(root, name)} is not plausible")
    if root.new_bytes < root.new_chunks * RECORD_BYTES_MIN:
        raise BadRequest(f"root: new_bytes {root.new_bytes} is less than {root.new_chunks} records have")
    if not root.files and root.protected_bytes:
        raise BadRequest("root: protected_bytes must be 0 without files")


def root_hash(data: bytes | memoryview) -> bytes:
    return blake3(data).digest()


def is_signed_by(data: bytes, signing_key: bytes) -> bool:
    """Whether the root's signature is the job's."""
    return is_signed(signing_key, data[SIGNED_BYTES:], ROOT_LABEL + data[:SIGNED_BYTES])


def countersign(key: Ed25519PrivateKey, hash_: bytes, vault_id: bytes, time_ns: int) -> bytes:
    return key.sign(countersigned_bytes(hash_, vault_id, time_ns))


def is_countersigned(key: Ed25519PublicKey, signature: bytes, signed: bytes) -> bool:
    """`signed` as of `countersigned_bytes`."""
    try:
        key.verify(signature, signed)
    except InvalidSignature:
        return False
    return True


def countersigned_bytes(hash_: bytes, vault_id: bytes, time_ns: int) -> bytes:
    return COUNTERSIGNATURE_LABEL + hash_ + vault_id + time_ns.to_bytes(8, "little", signed=True)


def sign_end(key: Ed25519PrivateKey, hash_: bytes, vault_id: bytes, ended: EndedSafeset, purged_ns: int) -> bytes:
    """Over why and when the safeset with this root hash ended and was purged."""
    return key.sign(ended_bytes(hash_, vault_id, ended, purged_ns))


def ended_bytes(hash_: bytes, vault_id: bytes, ended: EndedSafeset, purged_ns: int) -> bytes:
    times = ended.ended_ns.to_bytes(8, "little", signed=True) + purged_ns.to_bytes(8, "little", signed=True)
    return END_LABEL + hash_ + vault_id + times + ended.reason.encode()
