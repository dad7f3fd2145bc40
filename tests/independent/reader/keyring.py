"""The keyring: what a slot holds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .damage import require
from .hashing import kdf, unpack


@dataclass(frozen=True, slots=True)
class Generation:
    number: int
    kem: int
    private_key: bytes
    public_key: bytes
    id_key: bytes
    chunker_seed: int

    @property
    def file_hash_key(self) -> bytes:
        return kdf(self.id_key, b"safeset file hash v1", 32)

    @property
    def manifest_cut_key(self) -> bytes:
        return kdf(self.id_key, b"safeset manifest cut v1", 32)


@dataclass(frozen=True, slots=True)
class Keyring:
    id: bytes
    minimum_suite: int
    generations: dict[int, Generation]
    signing_seeds: dict[bytes, bytes]


def parse_keyring(raw: bytes) -> Keyring:
    value = unpack(raw, "a keyring")
    require(isinstance(value, list) and len(value) == 5, "a keyring is not an array of 5")
    version, keyring_id, minimum_suite, generations, signing = value
    require(version == 1, f"keyring version {version} is unknown")
    parsed = [parse_generation(row) for row in generations]
    numbers = [generation.number for generation in parsed]
    require(numbers == sorted(set(numbers)) and numbers[:1] >= [1], "the generations of a keyring are not oldest first")
    return Keyring(keyring_id, minimum_suite, {g.number: g for g in parsed}, {job: seed for job, seed in signing})


def parse_generation(row: list[Any]) -> Generation:
    number, kem, private_key, public_key, id_key, seed = row
    sizes = {1: (96, 1216), 2: (32, 32)}
    require(kem in sizes, f"KEM {kem} is unknown")
    require((len(private_key), len(public_key)) == sizes[kem], f"the keys of KEM {kem} have the wrong sizes")
    require(len(id_key) == 32 and len(seed) == 8, "an id key or a chunker seed has the wrong size")
    return Generation(number, kem, private_key, public_key, id_key, int.from_bytes(seed, "little"))
