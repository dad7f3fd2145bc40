"""Files with more than one name: what their entries say of it, and what of them was read in this run.

Invariants: each file of a set is read once, however many names it has; memory is bounded.
"""

import os
import stat
from collections import OrderedDict
from typing import Any, Generic, NamedTuple, TypeVar

from blake3 import blake3

from tools.agent.content import is_same
from tools.client.manifest import Extra

_SET_BYTES = 16
_NUMBER_BYTES = 8
_READ_SETS_MAX = 16_384
_LARGE_SETS_MAX = 64

Content = TypeVar("Content")


class _Read(NamedTuple, Generic[Content]):
    status: os.stat_result
    content: Content


class LinkSets(Generic[Content]):
    def __init__(self, key: bytes) -> None:
        self._key = key
        self._read: OrderedDict[tuple[int, int], _Read[Content]] = OrderedDict()
        self._large: OrderedDict[tuple[int, int], _Read[Content]] = OrderedDict()

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
        read = self._read.get(file) or self._large.get(file)
        return read.content if read is not None and is_same(read.status, status) else None

    def note(self, status: os.stat_result, content: Content, *, is_large: bool) -> None:
        """`is_large`: what is held of its content grows with it."""
        if not has_more_names(status):
            return
        held, held_max = (self._large, _LARGE_SETS_MAX) if is_large else (self._read, _READ_SETS_MAX)
        held[status.st_dev, status.st_ino] = _Read(status, content)
        if len(held) > held_max:
            held.popitem(last=False)


def has_more_names(status: os.stat_result) -> bool:
    return status.st_nlink > 1 and not stat.S_ISDIR(status.st_mode)
