"""The extents of one path as bytes, 40 for each, in parts of so many as one manifest entry lists.

A file of terabytes has more of them than memory may hold: what goes beyond a bound waits in a file without a name.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from struct import Struct
from tempfile import SpooledTemporaryFile

from tools.agent.chunks.chunk import PendingChunk
from tools.client.failure import Failure
from tools.client.manifest import ENTRY_EXTENTS_MAX

_EXTENT = Struct("<32sII")
PACKED_EXTENT_BYTES = _EXTENT.size
PART_BYTES = ENTRY_EXTENTS_MAX * PACKED_EXTENT_BYTES
_MEMORY_BYTES = 1024 * 1024

IdentifiedExtent = tuple[bytes, int, int]
"""Id of a chunk, offset and length."""


def pack_extents(extents: Iterable[IdentifiedExtent]) -> bytes:
    return b"".join([_EXTENT.pack(*extent) for extent in extents])


def unpack_extents(packed: bytes) -> list[IdentifiedExtent]:
    return list(_EXTENT.iter_unpack(packed))


def held_bytes(extents: object) -> int:
    """What a file's extents take in memory, or on the agent's disk, as long as they are held."""
    return extents.held_bytes if isinstance(extents, ChunkList) else _EXTENT.size


class ChunkList:
    """Whole chunks that follow each other, for the scanning thread until their file's row is handed over.

    Invariant: only chunks without an id, which are those on their way to the vault, are held as objects. `directory`
    is on a disk: what is in /tmp may be memory.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._packed = SpooledTemporaryFile(_MEMORY_BYTES, dir=str(directory))  # noqa: SIM115
        self._waiting: deque[PendingChunk] = deque()
        self._count = 0

    @property
    def held_bytes(self) -> int:
        return self._count * _EXTENT.size

    def add(self, chunk: PendingChunk) -> None:
        self._count += 1
        self._waiting.append(chunk)
        with self._naming_the_disk():
            self._pack_identified()

    def parts(self) -> Iterator[bytes]:
        """All of them, when all have their ids; every part but the last has ENTRY_EXTENTS_MAX. Several rows may ask,
        one after the other: those of the names of one file.
        """
        with self._naming_the_disk():
            self._pack_identified()
            if self._waiting:
                raise ValueError("a chunk of the row has no id yet")
            self._packed.seek(0)
        while part := self._next_part():
            yield part

    def close(self) -> None:
        self._packed.close()

    # With the last row that needs it; a run that fails leaves its lists where they are.
    __del__ = close

    def _next_part(self) -> bytes:
        with self._naming_the_disk():
            return self._packed.read(PART_BYTES)

    def _pack_identified(self) -> None:
        waiting = self._waiting
        while waiting and (id := waiting[0].id):
            self._packed.write(_EXTENT.pack(id, 0, waiting.popleft().size_bytes))

    @contextmanager
    def _naming_the_disk(self) -> Iterator[None]:
        """The error is of the agent's own disk; as an OSError it would be taken for one of the file that is read."""
        try:
            yield
        except OSError as error:
            raise Failure(
                "failed",
                f"the list of a large file's chunks cannot be kept in {self._directory}: {error.strerror or error}",
                "check the disk of the state directory and its room: 40 bytes for each MiB of the file",
            ) from error
