"""What the scan hands over, in order: rows wait for the bundle that holds what they need, and with them all behind.

A bundle is ended early rather than let more than `WAITING_ROWS_MAX` rows wait. One thread at a time.
"""

from tools.agent.batch import BATCH_ROWS, Batch, ScanRow
from tools.agent.bundle import Bundler
from tools.agent.chunk import Extent, PendingChunk

WAITING_ROWS_MAX = 16_384


class Outbox:
    def __init__(self) -> None:
        self.batch = Batch()
        self._bundler = Bundler()
        self._waiting: list[ScanRow | bytes] = []

    def begin_batch(self) -> Batch:
        self.batch = Batch()
        return self.batch

    def add_row(self, row: ScanRow | bytes) -> bool:
        """Whether the batch is full now."""
        if self._bundler.is_empty:
            rows = self.batch.rows
            rows.append(row)
            return len(rows) >= BATCH_ROWS
        self._waiting.append(row)
        if len(self._waiting) < WAITING_ROWS_MAX:
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
        self.batch.rows += self._waiting
        self._waiting = []
