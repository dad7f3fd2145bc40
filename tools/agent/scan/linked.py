"""Hard-linked files counted once: remembers the sets of which not all names were seen yet."""

import os

_SETS_MAX = 500_000


class CountedOnce:
    def __init__(self) -> None:
        self._names_left: dict[tuple[int, int], int] = {}

    def is_first(self, status: os.stat_result) -> bool:
        """Whether this is the first name of its set. Beyond a bound of half-seen sets each name counts by itself."""
        key = (status.st_dev, status.st_ino)
        left = self._names_left.get(key)
        if left is None:
            if len(self._names_left) < _SETS_MAX:
                self._names_left[key] = status.st_nlink - 1
            return True
        if left > 1:
            self._names_left[key] = left - 1
        else:
            del self._names_left[key]
        return False
