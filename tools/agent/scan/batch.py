"""What the scanning thread hands over at a time: chunks whose content is complete, and rows for the manifest."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from tools.agent.chunks.chunk import Extent, PendingChunk
from tools.agent.chunks.extent_list import ChunkList, IdentifiedExtent, pack_extents
from tools.agent.scan.fingerprint import Fingerprint

BATCH_BYTES = 8 * 1024 * 1024
BATCH_ROWS = 4096


Extents = Sequence[Extent | IdentifiedExtent] | ChunkList
"""Parts of chunks of this run, or of chunks of the base by their ids; a large file has a list of whole chunks."""


class ScanRow(NamedTuple):
    """A path that is new or changed.

    The chunks of its extents are in this batch or an earlier one, or are ids that the vault already holds.
    """

    path: bytes
    prefix: bytes
    extents: Extents
    extras: bytes | None
    content_bytes: int
    fingerprint: Fingerprint

    def extent_parts(self) -> Iterator[bytes]:
        """Packed, when all chunks have their ids, as many at a time as one manifest entry lists."""
        if isinstance(self.extents, ChunkList):
            return self.extents.parts()
        return iter((
            pack_extents(
                (c.id if isinstance(c, PendingChunk) else c, start, length) for c, start, length in self.extents
            ),
        ))


@dataclass(slots=True)
class Batch:
    """`rows` are in scan order; a path that is as the cache knows it is only its key there. `bundles`: those of
    `chunks` that hold small files."""

    rows: list[ScanRow | bytes] = field(default_factory=list)
    chunks: list[PendingChunk] = field(default_factory=list)
    bundles: list[PendingChunk] = field(default_factory=list)
    gone: list[bytes] = field(default_factory=list)
    chunk_bytes: int = 0
    extras_bytes: int = 0

    def add_chunks(self, chunks: list[PendingChunk]) -> None:
        for chunk in chunks:
            self.chunks.append(chunk)
            self.chunk_bytes += chunk.size_bytes

    @property
    def is_full(self) -> bool:
        is_large = self.chunk_bytes >= BATCH_BYTES or self.extras_bytes >= BATCH_BYTES
        return is_large or len(self.rows) >= BATCH_ROWS or len(self.gone) >= BATCH_ROWS

    @property
    def is_empty(self) -> bool:
        return not (self.rows or self.chunks or self.gone)
