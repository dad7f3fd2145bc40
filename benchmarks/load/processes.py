"""Peak anonymous memory of many processes at once, with one thread."""

from __future__ import annotations

import threading

from benchmarks.processes import anonymous_bytes

SAMPLE_SECONDS = 0.1


class PeakMemory:
    """Samples RssAnon of every process that was added until the block ends; peaks stay for those that are gone."""

    def __init__(self) -> None:
        self.peak_anonymous_bytes: dict[int, int] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def add(self, pid: int) -> None:
        """A number that the system used before is a new process: its peak begins anew."""
        self.peak_anonymous_bytes[pid] = 0

    def __enter__(self) -> PeakMemory:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(SAMPLE_SECONDS):
            for pid in list(self.peak_anonymous_bytes):
                self.peak_anonymous_bytes[pid] = max(self.peak_anonymous_bytes[pid], anonymous_bytes([pid]))
