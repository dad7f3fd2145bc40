"""Who reads which container now: the file of one whose records were moved is removed after its last reader let go.

Threads: any; one lock.
"""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager


class ContainerReaders:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._readers: Counter[int] = Counter()

    @contextmanager
    def hold(self, container: int) -> Iterator[None]:
        """Taken before it is asked whether the container is there: who finds nobody here after it was taken out of the
        table removes nothing that anybody reads.
        """
        with self._lock:
            self._readers[container] += 1
        try:
            yield
        finally:
            with self._lock:
                self._readers[container] -= 1
                if not self._readers[container]:
                    del self._readers[container]

    def is_held(self, container: int) -> bool:
        with self._lock:
            return container in self._readers
