"""What must not be missing from a safeset silently: the included paths themselves.

Invariant: an included path that is there and cannot be read ends the run. So does one that is missing, or a directory
without a name in it, where the base has something there: else a disk that is not mounted would become a complete
safeset without its files, and in time the only one. A directory with excluded files only is as somebody wants it.
"""

from collections.abc import Callable

from tools.agent.selection import Selection
from tools.client.failure import Failure
from tools.client.terminal_text import escape_path

GOES_THROUGH_LINK = "include goes through a link"

Holds = Callable[[bytes, bool], bool]
"""Whether the base has something below a path or, unless the second says so, the path itself."""

_HINT = "nothing was committed, the other paths were not backed up either, and the last safeset stays."
_MOUNT_HINT = f"{_HINT} Is its disk mounted?"
_LINK_HINT = f"{_HINT} Create a job that includes what the link points to, or put the directory back in its place"


class Included:
    """Of one scan, for its thread. `is_unsure`: there are safesets, and nothing is known of the last one."""

    def __init__(
        self, selection: Selection, holds: Holds = lambda path, is_below_only: False, *, is_unsure: bool = False
    ) -> None:
        self._paths = selection.inner.union(selection.roots)
        self._holds = holds
        self._is_unsure = is_unsure
        self._missed: set[bytes] = set()

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
