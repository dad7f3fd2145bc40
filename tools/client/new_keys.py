"""What the agent of a job goes on with after a rotation: its part of the newest generation, sealed to its key.

Not the password: this waits at the vault until the agent comes, and whoever steals the agent meanwhile must not open
history with it. The agent takes it only where its own keys are among the marks of the earlier generations, so nobody
who has not opened the keyring can make it take others.
"""

from dataclasses import dataclass, field
from typing import Any

from blake3 import blake3

from tools.client.keyring import Keyring, Unattended, signing_public_key
from tools.client.record_format import IntegrityError
from tools.client.strict_msgpack import counted, elements, pack, sized, typed, unpack_array

EARLIER_MAX = 64  # so that a message stays within the vault's limit

_MARK_LABEL = b"safeset known generation v1"
_GENERATION_MAX = 0xFFFF_FFFF


@dataclass(frozen=True, slots=True)
class EarlierGeneration:
    """A generation that the agent may have now: `mark` is over its values, `signing_key` verifies the job's roots."""

    number: int
    mark: bytes
    signing_key: bytes


@dataclass(frozen=True, slots=True)
class NewKeys:
    """`earlier` are oldest first, and empty for a job that has just joined the keyring."""

    unattended: Unattended = field(repr=False)
    earlier: tuple[EarlierGeneration, ...]

    @classmethod
    def of(cls, keyring: Keyring, job_id: bytes) -> "NewKeys":
        first = min((key.from_generation for key in keyring.signing if key.job_id == job_id), default=0)
        known = [one for one in keyring.generations[:-1] if one.number >= first and one.is_known]
        parts = [Unattended.of_generation(keyring, job_id, one.number) for one in known[-EARLIER_MAX:]]
        earlier = [EarlierGeneration(p.generation, mark_of(p), signing_public_key(p.signing_seed)) for p in parts]
        return cls(Unattended.of(keyring, job_id), tuple(earlier))

    def encode(self) -> bytes:
        earlier = [[one.number, one.mark, one.signing_key] for one in self.earlier]
        return pack([self.unattended.encode(), earlier])

    @classmethod
    def decode(cls, data: bytes) -> "NewKeys":
        """Raises IntegrityError that names the field."""
        unattended, earlier = elements(unpack_array(data, "new keys"), 2, "new keys")
        found = tuple(_decode_earlier(item) for item in typed(earlier, list, "earlier generations"))
        numbers = [one.number for one in found]
        newest = Unattended.decode(typed(unattended, bytes, "agent's part"))
        if numbers != sorted(set(numbers)) or any(number >= newest.generation for number in numbers):
            raise IntegrityError("the earlier generations of the new keys are out of order")
        return cls(newest, found)


def mark_of(keys: Unattended) -> bytes:
    """Over all values that the agent keeps of a generation, but for the minimum suite and the KEM's number."""
    return blake3(
        _MARK_LABEL + keys.keyring_id + keys.generation.to_bytes(4, "little") + keys.public_key + keys.id_key
        + keys.chunker_seed + keys.signing_seed
    ).digest()  # fmt: skip


def _decode_earlier(item: Any) -> EarlierGeneration:
    number, mark, signing_key = elements(item, 3, "earlier generation")
    counted(number, 1, _GENERATION_MAX, "generation")
    return EarlierGeneration(number, sized(mark, 32, "mark"), sized(signing_key, 32, "signing key"))
