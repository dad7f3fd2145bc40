"""The keys of a job: the whole keyring, as a slot holds it, and the part that an unattended agent may keep.

The private keys are in no other place than a slot and the memory of a program that opened one.
"""

import os
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tools.client.kem import KEM_HYBRID, check_public_key, generate_key_pair, is_known_kem, public_of
from tools.client.record_format import IntegrityError, LaterVersion, Suite, kdf
from tools.client.strict_msgpack import counted, elements, of_version, pack, sized, typed, unpack_array

_VERSION = 1
_GENERATION_MAX = 0xFFFF_FFFF
_EXTRA_MAX = 2**64 - 1
_NUMBER_MAX = 255


@dataclass(frozen=True, slots=True)
class Generation:
    """One key pair with the secrets that ids and cut points depend on; numbers grow from 1.

    `minimum_suite` is about the records whose run key is sealed to this generation: a higher one later leaves them be.
    """

    number: int
    kem: int
    private_key: bytes = field(repr=False)
    public_key: bytes = field(repr=False)
    id_key: bytes = field(repr=False)
    chunker_seed: bytes = field(repr=False)
    minimum_suite: int

    @property
    def is_known(self) -> bool:
        """Whether this program has the KEM: one of a later version is kept for whoever can use it."""
        return is_known_kem(self.kem)


@dataclass(frozen=True, slots=True)
class SigningKey:
    """Signs the roots of one job from a generation on, until the job has an entry of a later one."""

    job_id: bytes
    from_generation: int
    seed: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Keyring:
    """Everything that opens and extends the safesets of its jobs; generations and signing keys are oldest first.

    `extras` are what a later version added: whoever writes the keyring anew keeps them.
    """

    keyring_id: bytes
    generations: tuple[Generation, ...]
    signing: tuple[SigningKey, ...]
    extras: dict[int, Any] = field(default_factory=dict, repr=False)

    @property
    def newest(self) -> Generation:
        """The generation that new runs use."""
        return self.generations[-1]

    def generation(self, number: int) -> Generation:
        """The generation of that number; IntegrityError when the keyring has none."""
        for generation in self.generations:
            if generation.number == number:
                if not generation.is_known:
                    raise LaterVersion(f"KEM {generation.kem} of generation {number} is unknown to this program")
                return generation
        raise IntegrityError(f"the keyring has no generation {number}")

    def signing_seed(self, job_id: bytes, generation: int) -> bytes:
        """The Ed25519 seed of one job's roots of a generation; IntegrityError when the keyring has none."""
        self.generation(generation)
        seeds = [key.seed for key in self.signing if key.job_id == job_id and key.from_generation <= generation]
        if not seeds:
            raise IntegrityError(f"the keyring has no signing key for job {job_id.hex()} in generation {generation}")
        return seeds[-1]


@dataclass(frozen=True, slots=True)
class Unattended:
    """What an agent keeps in its state: enough to add safesets to one job, nothing that opens one."""

    keyring_id: bytes
    minimum_suite: int
    generation: int
    kem: int
    public_key: bytes = field(repr=False)
    id_key: bytes = field(repr=False)
    chunker_seed: bytes = field(repr=False)
    signing_seed: bytes = field(repr=False)

    @classmethod
    def of(cls, keyring: Keyring, job_id: bytes) -> "Unattended":
        """The newest generation's part for one job."""
        return cls.of_generation(keyring, job_id, keyring.newest.number)

    @classmethod
    def of_generation(cls, keyring: Keyring, job_id: bytes, number: int) -> "Unattended":
        one = keyring.generation(number)
        return cls(
            keyring.keyring_id,
            one.minimum_suite,
            one.number,
            one.kem,
            one.public_key,
            one.id_key,
            one.chunker_seed,
            keyring.signing_seed(job_id, one.number),
        )

    def encode(self) -> bytes:
        """The bytes in the agent's state."""
        return pack([
            _VERSION, self.keyring_id, self.minimum_suite, self.generation, self.kem,
            self.public_key, self.id_key, self.chunker_seed, self.signing_seed,
        ])  # fmt: skip

    @classmethod
    def decode(cls, data: bytes) -> "Unattended":
        """Raises IntegrityError that names the field."""
        what = "agent's part of the keyring"
        array = of_version(unpack_array(data, what), _VERSION, 9, what)
        check_public_key(typed(array[4], int, "KEM"), typed(array[5], bytes, "public key"))
        return cls(
            sized(array[1], 16, "keyring id"),
            _minimum_suite(array[2]),
            counted(array[3], 1, _GENERATION_MAX, "generation"),
            array[4],
            array[5],
            sized(array[6], 32, "id key"),
            sized(array[7], 8, "chunker seed"),
            sized(array[8], 32, "signing seed"),
        )


def create_keyring(job_id: bytes, minimum_suite: int = Suite.CBC_BLAKE3, kem: int = KEM_HYBRID) -> Keyring:
    """A new keyring with one generation, for one job."""
    pair = generate_key_pair(kem)
    first = Generation(1, kem, pair.private_key, pair.public_key, os.urandom(32), os.urandom(8), Suite(minimum_suite))
    return Keyring(os.urandom(16), (first,), (SigningKey(job_id, first.number, os.urandom(32)),))


def encode_keyring(keyring: Keyring) -> bytes:
    """The plaintext of a slot."""
    generations = [
        [g.number, g.kem, g.private_key, g.public_key, g.id_key, g.chunker_seed, g.minimum_suite]
        for g in keyring.generations
    ]
    signing = [[key.job_id, key.from_generation, key.seed] for key in keyring.signing]
    return pack([_VERSION, keyring.keyring_id, generations, signing, keyring.extras])


def decode_keyring(data: bytes) -> Keyring:
    """Raises IntegrityError that names the field; the halves of every key pair are checked against each other."""
    array = of_version(unpack_array(data, "keyring"), _VERSION, 5, "keyring")
    generations = tuple(_decode_generation(item) for item in typed(array[2], list, "generations"))
    numbers = [generation.number for generation in generations]
    if not numbers or numbers != sorted(set(numbers)):
        raise IntegrityError("the keyring's generations are missing or out of order")
    signing = tuple(_decode_signing_key(item, numbers[-1]) for item in typed(array[3], list, "signing"))
    order = [(key.job_id, key.from_generation) for key in signing]
    if order != sorted(set(order)):
        raise IntegrityError("the keyring's signing keys are out of order, or one is there twice")
    extras = typed(array[4], dict, "extras")
    for number in extras:
        counted(number, 1, _EXTRA_MAX, "the number of an extra")
    return Keyring(sized(array[1], 16, "keyring id"), generations, signing, extras)


def file_hash_key(id_key: bytes) -> bytes:
    """The key of the `hash` in manifest entries."""
    return kdf(id_key, b"safeset file hash v1", 32)


def manifest_cut_key(id_key: bytes) -> bytes:
    """The key that decides where manifest blocks end."""
    return kdf(id_key, b"safeset manifest cut v1", 32)


def link_set_key(id_key: bytes) -> bytes:
    """The key of the `link set` in manifest entries."""
    return kdf(id_key, b"safeset link set v1", 32)


def signing_public_key(seed: bytes) -> bytes:
    """The Ed25519 public key that the vault keeps for a job."""
    return Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()


def _decode_generation(item: Any) -> Generation:
    number, kem, private_key, public_key, id_key, seed, minimum_suite = elements(item, 7, "generation")
    counted(number, 1, _GENERATION_MAX, "generation")
    counted(kem, 1, _NUMBER_MAX, "KEM")
    typed(private_key, bytes, "private key")
    if is_known_kem(kem) and public_of(kem, private_key) != typed(public_key, bytes, "public key"):
        raise IntegrityError(f"the public key of generation {number} does not belong to its private key")
    return Generation(
        number, kem, private_key, public_key, sized(id_key, 32, "id key"), sized(seed, 8, "chunker seed"),
        _minimum_suite(minimum_suite),
    )  # fmt: skip


def _decode_signing_key(item: Any, newest: int) -> SigningKey:
    job_id, from_generation, seed = elements(item, 3, "signing key")
    counted(from_generation, 1, newest, "first generation of a signing key")
    return SigningKey(sized(job_id, 16, "job id"), from_generation, sized(seed, 32, "signing seed"))


def _minimum_suite(value: Any) -> int:
    """One of a later version is greater than any suite that this program has: nothing under it opens here."""
    return counted(value, min(Suite), _NUMBER_MAX, "minimum suite")
