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
    minimum_suite: int

    @property
    def file_hash_key(self) -> bytes:
        return kdf(self.id_key, b"safeset file hash v1", 32)

    @property
    def manifest_cut_key(self) -> bytes:
        return kdf(self.id_key, b"safeset manifest cut v1", 32)


@dataclass(frozen=True, slots=True)
class Keyring:
    id: bytes
    generations: dict[int, Generation]
    signing: dict[tuple[bytes, int], bytes]

    def signing_seed(self, job: bytes, generation: int) -> bytes:
        """That of the job's entry with the greatest first generation that is not above the root's."""
        require(generation in self.generations, f"the keyring lacks generation {generation}")
        begins = [begin for owner, begin in self.signing if owner == job and begin <= generation]
        require(len(begins) > 0, f"the keyring has no signing key of job {job.hex()} for generation {generation}")
        return self.signing[job, max(begins)]


def parse_keyring(raw: bytes) -> Keyring:
    value = unpack(raw, "a keyring")
    require(isinstance(value, list) and len(value) > 0, "a keyring is not an array")
    require(value[0] == 1, f"keyring version {value[0]} is unknown")
    require(len(value) == 5, "a keyring is not an array of 5")
    _, keyring_id, generations, signing, extras = value
    require(isinstance(extras, dict), "the extras of a keyring are not a map")
    parsed = [parse_generation(row) for row in generations]
    numbers = [generation.number for generation in parsed]
    require(numbers == sorted(set(numbers)) and numbers[:1] >= [1], "the generations of a keyring are not oldest first")
    places = [(job, begin) for job, begin, _ in signing]
    require(places == sorted(set(places)), "the signing keys of a keyring are not in order, or one is there twice")
    in_range = all(1 <= begin <= numbers[-1] for _, begin in places)
    require(in_range, "a signing key begins with a generation that is not there yet")
    require(all(len(job) == 16 and len(seed) == 32 for job, _, seed in signing), "a signing key has the wrong size")
    return Keyring(keyring_id, {g.number: g for g in parsed}, {(job, begin): seed for job, begin, seed in signing})


def parse_generation(row: list[Any]) -> Generation:
    require(len(row) == 7, "a generation is not an array of 7")
    number, kem, private_key, public_key, id_key, seed, minimum_suite = row
    sizes = {1: (96, 1216), 2: (32, 32)}
    found = (len(private_key), len(public_key))
    require(found == sizes.get(kem, found), f"the keys of KEM {kem} have the wrong sizes")
    require(len(id_key) == 32 and len(seed) == 8, "an id key or a chunker seed has the wrong size")
    require(1 <= minimum_suite <= 255 and 1 <= kem <= 255, "a KEM or a minimum suite is no number of one byte")
    return Generation(number, kem, private_key, public_key, id_key, int.from_bytes(seed, "little"), minimum_suite)
