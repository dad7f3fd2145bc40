"""Threads that finish files: while one waits for the kernel, another one goes on.

What a file of a restore needs after its content is there happens here: it is opened, written, compared, given its
metadata and its name. Whoever gives files hears of them in the same order, in its own thread.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from tools.agent.restore.open_file import OpenFile

WRITER_THREADS = 2
# A batch for each hand-over, which costs as much as a small file; enough of them that nobody waits for the next one.
_BATCH_FILES = 16
_BATCH_BYTES = 1024 * 1024
_BATCHES_MAX = 4 * WRITER_THREADS


class Writers:
    """`finish` is called in a writer's thread, with one file at a time; `take` with a batch of those that are finished
    or failed. A writer has one file open at a time, beside those that were open when they were given. For one thread.
    """

    def __init__(self, finish: Callable[[OpenFile], None], take: Callable[[Sequence[OpenFile]], None]) -> None:
        self._finish = finish
        self._take = take
        self._threads = ThreadPoolExecutor(WRITER_THREADS, "restore-writer")
        self._batch: list[OpenFile] = []
        self._batch_bytes = 0
        self._given: deque[tuple[list[OpenFile], Future[None]]] = deque()

    def give(self, file: OpenFile) -> None:
        """Waits while many are to be finished."""
        self._batch.append(file)
        self._batch_bytes += file.added_bytes
        if len(self._batch) >= _BATCH_FILES or self._batch_bytes >= _BATCH_BYTES:
            self._hand_over()
            while self._given and (len(self._given) > _BATCHES_MAX or self._given[0][1].done()):
                self._take_back()

    def settle(self) -> None:
        """Waits until all that were given are finished or have failed, and were taken."""
        self._hand_over()
        while self._given:
            self._take_back()

    def close(self) -> Iterator[OpenFile]:
        """Ends the threads. Those that nobody has taken: none, unless something else has failed."""
        self._threads.shutdown()
        for file in self._batch:
            file.discard()
        yield from self._batch
        for files, _ in self._given:
            yield from files

    def _hand_over(self) -> None:
        if self._batch:
            self._given.append((self._batch, self._threads.submit(self._finish_all, self._batch)))
            self._batch, self._batch_bytes = [], 0

    def _finish_all(self, files: list[OpenFile]) -> None:
        for file in files:
            try:
                self._finish(file)
            except Exception as error:
                file.error = error

    def _take_back(self) -> None:
        files, done = self._given.popleft()
        try:
            done.result()
        finally:
            self._take(files)
