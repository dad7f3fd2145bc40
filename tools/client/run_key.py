"""The key of one run: random, sealed to the keyring's public key, never written to disk in clear."""

import os
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from blake3 import blake3

from tools.client.kem import open_sealed, seal
from tools.client.keyring import Keyring, Unattended
from tools.client.record_format import IntegrityError, LaterVersion

_HEADER = struct.Struct("<4sBBH16sI16s16sH")
_BOUND_BYTES = 60  # HPKE binds these; the length after them binds itself
_MAGIC = b"SSY1"
_VERSION = 1
_LABEL = b"safeset run key v1"
_RUN_KEY_BYTES = 32


@dataclass(frozen=True, slots=True)
class NewRunKey:
    """A run's key, its sealed form for the vault, and the id that the run's records carry."""

    run_key: bytes = field(repr=False)
    sealed: bytes
    key_id: bytes


@dataclass(frozen=True, slots=True)
class SealedRunKey:
    """The header of a sealed run key: whose it is."""

    kem: int
    keyring_id: bytes
    generation: int
    job_id: bytes
    run_id: bytes


@dataclass(frozen=True, slots=True)
class OpenedRunKey:
    """What opens the records of one run: its key, and what the generation that it was sealed to asks of them."""

    run_key: bytes = field(repr=False)
    id_key: bytes = field(repr=False)
    minimum_suite: int
    run_id: bytes


class RunKeys(Mapping[bytes, OpenedRunKey]):
    """The run keys that a restore has opened, by key id, for a RecordOpener. One thread adds, any may read.

    Asking for one that a later version made is a LaterVersion.
    """

    def __init__(self, keyring: Keyring) -> None:
        self._keyring = keyring
        self._run_keys: dict[bytes, OpenedRunKey] = {}
        self._of_later_versions: dict[bytes, LaterVersion] = {}

    def add(self, id: bytes, sealed: bytes) -> None:
        """Opens a sealed key under the id that the vault names for it; IntegrityError when it is another key."""
        if id in self._run_keys:
            return
        if key_id(sealed) != id:
            raise IntegrityError(f"the sealed run key {id.hex()} is damaged: its id is another")
        try:
            self._run_keys[id] = open_run_key(sealed, self._keyring)
        except LaterVersion as error:
            self._of_later_versions[id] = error

    def __getitem__(self, id: bytes) -> OpenedRunKey:
        if id in self._of_later_versions:
            raise self._of_later_versions[id]
        return self._run_keys[id]

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._run_keys)

    def __len__(self) -> int:
        return len(self._run_keys)


def create_run_key(unattended: Unattended, job_id: bytes, run_id: bytes) -> NewRunKey:
    """A new key for a run, sealed to the newest generation."""
    u = unattended
    bound = struct.pack("<4sBBH16sI16s16s", _MAGIC, _VERSION, u.kem, 0, u.keyring_id, u.generation, job_id, run_id)
    run_key = os.urandom(_RUN_KEY_BYTES)
    body = seal(u.kem, u.public_key, run_key, _LABEL + bound)
    sealed = bound + struct.pack("<H", len(body)) + body
    return NewRunKey(run_key, sealed, key_id(sealed))


def key_id(sealed: bytes) -> bytes:
    """The id that records carry for this sealed key."""
    return blake3(sealed).digest(length=16)


def parse_sealed_run_key(sealed: bytes) -> SealedRunKey:
    """The header; IntegrityError that names the field."""
    if len(sealed) < _HEADER.size:
        raise IntegrityError(f"the sealed run key has {len(sealed)} bytes, its header alone has {_HEADER.size}")
    magic, version, kem, reserved, keyring_id, generation, job_id, run_id, length = _HEADER.unpack_from(sealed)
    if magic != _MAGIC or version != _VERSION or reserved:
        raise LaterVersion(f"the sealed run key's magic {magic!r} or version {version} is unknown to this program")
    if length != len(sealed) - _HEADER.size:
        raise IntegrityError(f"the sealed run key's sealed_length {length} does not fit its {len(sealed)} bytes")
    return SealedRunKey(kem, keyring_id, generation, job_id, run_id)


def open_run_key(sealed: bytes, keyring: Keyring) -> OpenedRunKey:
    """The run key; IntegrityError when it is damaged or belongs to another keyring."""
    header = parse_sealed_run_key(sealed)
    if header.keyring_id != keyring.keyring_id:
        raise IntegrityError(f"the sealed run key belongs to keyring {header.keyring_id.hex()}, not to this one")
    generation = keyring.generation(header.generation)
    if header.kem != generation.kem:
        raise IntegrityError(f"the sealed run key names KEM {header.kem}, its generation has {generation.kem}")
    info = _LABEL + sealed[:_BOUND_BYTES]
    run_key = open_sealed(generation.kem, generation.private_key, sealed[_HEADER.size :], info)
    if len(run_key) != _RUN_KEY_BYTES:
        raise IntegrityError(f"the run key has {len(run_key)} bytes, not {_RUN_KEY_BYTES}")
    return OpenedRunKey(run_key, generation.id_key, generation.minimum_suite, header.run_id)
