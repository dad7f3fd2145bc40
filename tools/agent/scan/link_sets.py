"""Files with more than one name: what their entries say of it, and what of them was read in this run.

Invariants: each file of a set is read once, however many names it has; memory is bounded.
"""

import os
import stat
from collections import OrderedDict
from typing import Any, Generic, NamedTuple, TypeVar

from blake3 import blake3

from tools.agent.scan.content import is_same
from tools.client.manifest import Extra

_SET_BYTES = 16
_NUMBER_BYTES = 8
_READ_SETS_MAX = 16_384
_HELD_BYTES_MAX = 32 * 1024 * 1024

Content = TypeVar("Content")


class _Read(NamedTuple, Generic[Content]):
    status: os.stat_result
    content: Content
    held_bytes: int
    names_left: int


class LinkSets(Generic[Content]):
    def __init__(self, key: bytes) -> None:
        self._key = key
        self._read: OrderedDict[tuple[int, int], _Read[Content]] = OrderedDict()
        self._held_bytes = 0

    def extras_of(self, status: os.stat_result) -> dict[int, Any]:
        """What the entry of such a name says: the same on all names of one file in this run."""
        if not has_more_names(status):
            return {}
        numbers = b"".join(number.to_bytes(_NUMBER_BYTES, "little") for number in (status.st_dev, status.st_ino))
        set_id = blake3(numbers, key=self._key).digest(length=_SET_BYTES)
        return {int(Extra.LINK_SET): set_id, int(Extra.NAMES): status.st_nlink}

    def find(self, status: os.stat_result) -> Content | None:
        """What was read under another name, where nothing changed since."""
        file = status.st_dev, status.st_ino
        read = self._read.get(file)
        if read is None or not is_same(read.status, status):
            return None
        if read.names_left <= 1:
            self._forget(file)
        else:
            self._read[file] = read._replace(names_left=read.names_left - 1)
        return read.content

    def note(self, status: os.stat_result, content: Content, held_bytes: int) -> None:
        """`held_bytes`: what it takes as long as it is remembered."""
        file = status.st_dev, status.st_ino
        if not has_more_names(status) or held_bytes > _HELD_BYTES_MAX:
            return
        if file in self._read:
            self._forget(file)
        self._read[file] = _Read(status, content, held_bytes, status.st_nlink - 1)
        self._held_bytes += held_bytes
        while len(self._read) > _READ_SETS_MAX or self._held_bytes > _HELD_BYTES_MAX:
            self._forget(next(iter(self._read)))

    def _forget(self, file: tuple[int, int]) -> None:
        self._held_bytes -= self._read.pop(file).held_bytes


def has_more_names(status: os.stat_result) -> bool:
    return status.st_nlink > 1 and not stat.S_ISDIR(status.st_mode)
