"""Small files appended to one another in scan order; where a bundle ends says tools.client.chunker."""

from tools.agent.chunks.chunk import Extent, PendingChunk
from tools.client.chunker import bundle_ends_after, bundle_ends_before


class Bundler:
    """Holds the bundle that is being filled. Its chunk object exists from the start, its content only when it ends."""

    def __init__(self) -> None:
        self._chunk = PendingChunk(b"")
        self._parts: list[bytes] = []
        self._size_bytes = 0

    @property
    def is_empty(self) -> bool:
        return not self._parts

    def add(self, content: bytes, file_hash: bytes) -> tuple[Extent, list[PendingChunk]]:
        """Where the file is, and the bundles that ended: the one before it, its own, both or none."""
        ended = []
        if bundle_ends_before(self._size_bytes, len(content)):
            ended += self.end()
        extent = Extent(self._chunk, self._size_bytes, len(content))
        self._parts.append(content)
        self._size_bytes += len(content)
        if bundle_ends_after(self._size_bytes, file_hash, len(content)):
            ended += self.end()
        return extent, ended

    def end(self) -> list[PendingChunk]:
        """The filled bundle, if there is one; the next file begins another."""
        if not self._parts:
            return []
        chunk = self._chunk
        chunk.fill(b"".join(self._parts))
        self._chunk = PendingChunk(b"")
        self._parts = []
        self._size_bytes = 0
        return [chunk]
