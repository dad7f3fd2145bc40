"""What the scan hands over, in order: rows wait for the bundle that holds what they need, and with them all behind.

A bundle is ended early rather than let more than `WAITING_ROWS_MAX` rows wait. One thread at a time.
"""

from tools.agent.chunks.bundle import Bundler
from tools.agent.chunks.chunk import Extent, PendingChunk
from tools.agent.scan.batch import BATCH_BYTES, Batch, ScanRow

WAITING_ROWS_MAX = 16_384


class Outbox:
    def __init__(self) -> None:
        self.batch = Batch()
        self._bundler = Bundler()
        self._waiting: list[ScanRow | bytes] = []
        self._waiting_bytes = 0

    def begin_batch(self) -> Batch:
        self.batch = Batch()
        return self.batch

    def add_row(self, row: ScanRow | bytes) -> bool:
        """Whether the batch is full now."""
        extras_bytes = 0 if isinstance(row, bytes) else len(row.extras or b"")
        if self._bundler.is_empty:
            self.batch.rows.append(row)
            self.batch.extras_bytes += extras_bytes
            return self.batch.is_full
        self._waiting.append(row)
        self._waiting_bytes += extras_bytes
        if len(self._waiting) < WAITING_ROWS_MAX and self._waiting_bytes < BATCH_BYTES:
            return False
        self.end_bundle()
        return self.batch.is_full

    def bundle(self, content: bytes, hash: bytes) -> Extent:
        """Rows before the file that ended a bundle may go; the file's own row follows when it is added."""
        extent, ended = self._bundler.add(content, hash)
        if ended:
            self._hand_over(ended)
        return extent

    def add_chunk(self, chunk: PendingChunk) -> bool:
        """Of a large file; whether the batch is full now."""
        self.batch.add_chunks([chunk])
        return self.batch.is_full

    def end_bundle(self) -> None:
        self._hand_over(self._bundler.end())

    def _hand_over(self, ended: list[PendingChunk]) -> None:
        self.batch.add_chunks(ended)
        self.batch.bundles += ended
        self.batch.rows += self._waiting
        self.batch.extras_bytes += self._waiting_bytes
        self._waiting, self._waiting_bytes = [], 0
