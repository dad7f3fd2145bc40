"""Which safesets the rows that an agent keeps are of."""

import zlib
from dataclasses import dataclass
from typing import NamedTuple

from tools.client.keyring import Unattended
from tools.client.record_format import kdf

_MARK_LABEL = b"safeset agent cache v1"
_MARK_BYTES = 16


class Base(NamedTuple):
    """The safeset that a cache is of: its root hash and the top of its manifest."""

    root_hash: bytes
    top_block: bytes
    top_companion: bytes
    level: int

    def checksum(self) -> int:
        return zlib.crc32(b"".join((self.root_hash, self.top_block, self.top_companion, bytes((self.level,)))))


@dataclass(frozen=True, slots=True)
class Belonging:
    """Which safesets a cache can be of. Extents name chunks by ids under one id key: a new key begins a new cache."""

    keyring_id: bytes
    generation: int
    id_key_mark: bytes
    job_id: bytes
    timeline: int

    def columns(self) -> tuple[object, ...]:
        return self.keyring_id, self.generation, self.id_key_mark, self.job_id, self.timeline


def belonging_of(keys: Unattended, job_id: bytes, timeline: int) -> Belonging:
    """The mark is derived from the id key and does not give it away."""
    return Belonging(keys.keyring_id, keys.generation, kdf(keys.id_key, _MARK_LABEL, _MARK_BYTES), job_id, timeline)
