"""What must not be missing from a safeset silently: the included paths themselves, and what is mounted below them.

Invariant: an included path that is there and cannot be read ends the run. So does one that is missing, or a directory
without a name in it, where the base has something there: else a disk that is not mounted would become a complete
safeset without its files, and in time the only one. A directory with excluded files only is as somebody wants it.
What was mounted, and is a directory of the file system around it now, is lost when it is empty or when most names
that the base has in it are gone: for an included path that ends the run, below one it is a warning of each run. A mount
point that went away together with its mount, as those of removable disks do, is a warning once.
"""

import os
from collections.abc import Callable, Sequence

from tools.agent.selection import Selection, is_inside
from tools.agent.state import Expected
from tools.client.failure import Failure
from tools.client.terminal_text import escape_path

GOES_THROUGH_LINK = "include goes through a link"

Holds = Callable[[bytes, bool], bool]
"""Whether the base has something below a path or, unless the second says so, the path itself."""
Children = Callable[[bytes], Sequence[bytes]]
"""Names that the base has directly in a path, some of them where there are many."""

LOST_MOUNT = "nothing is mounted here any more"
NOT_MOUNTED = "nothing is mounted there any more: compare what is in it with what ought to be"
MOUNT_GONE = "the mount is gone with its directory"
NOT_WATCHED = "one mount too many to be watched"
_MOUNTS_MAX = 1000
_MOUNTS_BYTES_MAX = 192 * 1024

_HINT = "nothing was committed, the other paths were not backed up either, and the last safeset stays."
_MOUNT_HINT = f"{_HINT} Is its disk mounted?"
_LINK_HINT = f"{_HINT} Create a job that includes what the link points to, or put the directory back in its place"


class Included:
    """Of one scan, for its thread. `expected` is from the last safeset, None where nothing is kept of it; `is_unsure`:
    there are safesets, and nothing is known of the last one."""

    def __init__(
        self, selection: Selection, expected: Expected | None = None,
        holds: Holds = lambda path, is_below_only: False, children: Children = lambda path: (), *,
        is_unsure: bool = False,
    ) -> None:  # fmt: skip
        self._paths = selection.inner.union(selection.roots)
        expected = expected or Expected(there=[], filled=[], mounts=[])
        self._there, self._filled = frozenset(expected.there), frozenset(expected.filled)
        self._expected_mounts, self._lost_before = frozenset(expected.mounts), frozenset(expected.lost)
        self._lost: set[bytes] = set()
        self._base_holds = holds
        self._base_children = children
        self._is_unsure = is_unsure
        self._missed: set[bytes] = set()
        self._empty: set[bytes] = set()
        self._mounts: set[bytes] = set()
        self._mounts_bytes = 0

    def _holds(self, path: bytes, is_below_only: bool) -> bool:
        return path in (self._filled if is_below_only else self._there) or self._base_holds(path, is_below_only)

    def seen(self) -> Expected:
        """At the end of the scan: what the next one expects."""
        there = self._paths - self._missed
        filled, mounts = sorted(there - self._empty), sorted(self._mounts)
        return Expected(there=sorted(there), filled=filled, mounts=mounts, lost=sorted(self._lost))

    def note_mount(self, path: bytes) -> str | None:
        """For a directory on which something is mounted, with a name in it: the code of a warning, if there has to be
        one."""
        size_bytes = self._mounts_bytes + len(path)
        if path in self._mounts:
            return None
        if len(self._mounts) >= _MOUNTS_MAX or size_bytes > _MOUNTS_BYTES_MAX:
            return NOT_WATCHED
        self._mounts.add(path)
        self._mounts_bytes = size_bytes
        return None

    def check_mount(self, path: bytes, is_here: Callable[[bytes], bool], *, is_empty: bool) -> str | None:
        """For a directory without a mount; `is_here` looks for a name in it. The code of a warning, if there has to be
        one: then it stays expected, with what was mounted below it. Failure where it is an included path.
        """
        if path not in self._expected_mounts:
            return None
        known = () if path in self._lost_before else self._base_children(path)
        if known and 2 * sum(map(is_here, known)) >= len(known):
            return None  # its files lie here now
        if path in self._paths and not (known or is_empty):
            # Nobody knows what was in it, and a run that failed would never know more. It is told in each run.
            self.note_mount(path)
            self._lost.add(path)
            return NOT_MOUNTED
        if path in self._paths:
            hint = f"{_MOUNT_HINT} Where its files are to stay away on purpose, create another job"
            message = f"nothing is mounted at the included path {_shown(path)} any more, the last safeset has its files"
            raise Failure("failed", message, hint)
        for mount in self._expected_mounts:
            if is_inside(mount, path):
                self.note_mount(mount)
        self._lost.add(path)
        return LOST_MOUNT

    def mounts_gone(self) -> list[bytes]:
        """At the end of the scan: those whose directory is not there any more."""
        left = sorted(self._expected_mounts - self._mounts - self._paths)
        return [path for path in left if not os.path.lexists(b"/" + path)]

    def is_missed(self, path: bytes) -> bool:
        return path in self._missed

    def check_missed(self, path: bytes, code: str) -> None:
        """For any path that cannot be taken, before its warning: Failure where that must not stay a warning."""
        if path not in self._paths:
            return
        self._missed.add(path)
        if code == "unreadable":
            hint = f"{_MOUNT_HINT} May this user read it? Else create a job without it"
            raise Failure("failed", f"the included path {_shown(path)} cannot be read", hint)
        if self._holds(path, False) and code == GOES_THROUGH_LINK:
            message = f"the way to the included path {_shown(path)} goes through a link now, the last safeset has it"
            raise Failure("failed", message, _LINK_HINT)
        if self._holds(path, False):
            hint = f"{_MOUNT_HINT} Where it was removed on purpose, make it anew with one file in it"
            message = f"the included path {_shown(path)} is missing ({code}), the last safeset has it"
            raise Failure("failed", message, hint)

    def check_empty(self, path: bytes, *, is_link: bool) -> str | None:
        """For any path below which nothing can be: the code of a warning, if there has to be one."""
        if path not in self._paths:
            return None
        self._empty.add(path)
        if self._holds(path, True) and is_link:
            message = f"the included path {_shown(path)} is a link now, the last safeset has files below it"
            raise Failure("failed", message, _LINK_HINT)
        if self._holds(path, True):
            hint = f"{_MOUNT_HINT} Where it was emptied on purpose, put one file or directory into it"
            message = f"nothing is in the included path {_shown(path)}, the last safeset has files below it"
            raise Failure("failed", message, hint)
        return "include is empty" if self._is_unsure else None


def _shown(path: bytes) -> str:
    return "/" + escape_path(path)
