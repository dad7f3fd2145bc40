"""What collections were asked for, how far the present one is, and how the last ones ended. Kept in memory only.

Threads: any; one lock.
"""

import threading
from collections import deque

import msgspec


class CollectionState(msgspec.Struct, frozen=True, kw_only=True):
    """The field names are those of the wire's message. `number`: from 1 since the start, 0 before the first. `records`:
    how many there were when it began, of which `records_swept` were looked at. `left`: why keyrings were left as they
    are, `problem`: why it did not come to its end. Times are 0 where there is none.
    """

    number: int = 0
    is_trial: bool = False
    phase: str = "none"  # then marking, moving, ended
    begin_ns: int = 0
    end_ns: int = 0
    keyrings: int = 0
    keyrings_done: int = 0
    keyrings_left: int = 0
    left: str = ""
    records: int = 0
    records_swept: int = 0
    records_marked: int = 0
    records_dropped: int = 0
    bytes_dropped: int = 0
    keys_dropped: int = 0
    containers: int = 0
    containers_moved: int = 0
    bytes_moved: int = 0
    bytes_given_back: int = 0
    problem: str = ""


EARLIER_MAX = 16


class CollectionBook:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._asked: list[bool] = []  # that wait, in order: whether each is a trial
        self._state = CollectionState()
        self._earlier: deque[CollectionState] = deque(maxlen=EARLIER_MAX)  # whoever asked for one looks now and then

    def ask(self, *, is_trial: bool) -> int:
        """The number that it will have; the same as that of one which waits already."""
        with self._lock:
            if is_trial not in self._asked:
                self._asked.append(is_trial)
            return self._state.number + 1 + self._asked.index(is_trial)

    @property
    def is_any_asked(self) -> bool:
        return bool(self._asked)

    def begin(self, now_ns: int) -> CollectionState:
        """Of the first that waits, or of one that nobody asked for."""
        with self._lock:
            is_trial = self._asked.pop(0) if self._asked else False
            self._earlier.append(self._state)
            self._state = CollectionState(
                number=self._state.number + 1, is_trial=is_trial, phase="marking", begin_ns=now_ns
            )
            return self._state

    def tell(self, state: CollectionState) -> None:
        with self._lock:
            self._state = state

    def state(self, number: int = 0) -> CollectionState:
        """Of this one if it is known, else of the newest."""
        with self._lock:
            return next((state for state in self._earlier if number and state.number == number), self._state)
