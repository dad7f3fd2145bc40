"""A root: the signed public part of a safeset, and its sealed payload."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from .damage import Damage, require, require_zero
from .hashing import plain, unpack

ROOT = struct.Struct("<4sBBBB16sI16s16s16sIQ32sq32s32s32sB7s8Q64s")
LENGTH_BYTES = 360


@dataclass(frozen=True, slots=True)
class Root:
    raw: bytes
    hash: bytes
    suite: int
    complete: bool
    keyring: bytes
    generation: int
    job: bytes
    computer: bytes
    run: bytes
    timeline: int
    sequence: int
    previous: bytes
    agent_time: int
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


@dataclass(frozen=True, slots=True)
class Payload:
    top_block: bytes
    top_companion: bytes
    level: int
    host_name: str
    job_name: str
    computer_name: str
    includes: list[bytes]
    excludes: list[str]
    agent_version: str
    begin: int
    end: int
    warnings: list[tuple[bytes, str]]
    system: int


def parse_root(raw: bytes) -> Root:
    require(len(raw) == LENGTH_BYTES, f"a root has {len(raw)} bytes")
    magic, version, suite, complete, reserved, *fields = ROOT.unpack(raw)
    reserved2 = fields.pop(13)
    require(magic == b"SST1", f"{magic!r} is not the magic of a root")
    require(version == 1, f"root version {version} is unknown")
    require(suite in (1, 2), f"root suite {suite} is unknown")
    require(complete in (0, 1), f"a root is {complete}, neither complete nor provisional")
    require_zero(bytes([reserved]) + reserved2, "a root")
    return Root(raw, plain(raw), suite, complete == 1, *fields)


def verify_signature(root: Root, signing_seed: bytes) -> None:
    public_key = Ed25519PrivateKey.from_private_bytes(signing_seed).public_key()
    try:
        public_key.verify(root.signature, b"safeset root v1" + root.raw[:296])
    except InvalidSignature as error:
        raise Damage(f"the signature of safeset {root.sequence} is wrong") from error


def parse_payload(plaintext: bytes, root: Root) -> Payload:
    """The opened payload; what it repeats of the public part must agree with it."""
    value = unpack(plaintext, "a root payload")
    require(isinstance(value, list) and len(value) == 15, "a root payload is not an array of 15")
    require(value[0] == 1, f"root payload version {value[0]} is unknown")
    warnings = [(path, code) for path, code in value[12]]
    fields = [*value[1:12], warnings, value[13]]
    payload = Payload(*fields)
    names = (payload.host_name, payload.job_name, payload.computer_name)
    require(all(isinstance(name, str) for name in names), "a root payload has a name that is no text")
    top = (payload.top_block, payload.top_companion, payload.level)
    require(top == (root.top_block, root.top_companion, root.level), "the payload names another top than the root")
    require(isinstance(value[13], int) and value[13] >= 1, "a root payload names no system")
    extras = value[14]
    require(isinstance(extras, dict), "the extras of a root payload are not a map")
    numbered = all(isinstance(number, int) and number > 0 for number in extras)
    require(numbered, "an extra of a root payload has no number")
    require(len(warnings) <= 1000, "a root payload has more than 1,000 warnings")
    return payload
