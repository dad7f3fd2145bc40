"""The directory that is restored into, reached by descriptors only: no link below it is ever followed.

Holds one descriptor for each directory on the way to the place where the last entry was, so entries in manifest order
cost few calls, and for a bounded number of those behind in which something is still being finished. For one thread at a
time.
"""

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tools.agent.restore.unfinished import MODE_AS_MADE, mark_unfinished
from tools.agent.system.descriptor_limit import raise_descriptor_limit

_OPEN_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# Each of them has a descriptor, beside those of the way, and some systems allow a process 1,024.
_HELD_BEHIND_MAX = 256

Leave = Callable[[int], None]
"""What remains to be done with a directory's descriptor when everything in it is written; no OSError."""


LeaveMade = Callable[[bytes, int | None], Leave | None]
"""Asked for a directory on the way, which is no entry that is restored: one that is there, by its descriptor, or one
that has to be made.
"""


class InTheWay(OSError):
    """A component of the path is there and is no directory, or is a link."""


class OpenDirectory:
    """`is_changed`: it is marked, and what remains to be done is due. `holders`: the way itself, each directory below
    and whatever in it is being finished; it is left when the last of them lets go.
    """

    __slots__ = ("above", "descriptor", "holders", "is_changed", "leave", "name", "path")

    def __init__(
        self, path: bytes, descriptor: int, leave: Leave | None, above: "OpenDirectory | None", *, is_changed: bool
    ) -> None:
        self.path = path
        self.name = path.rpartition(b"/")[2]
        self.descriptor = descriptor
        self.leave = leave
        self.is_changed = is_changed
        self.above = above
        self.holders = 1
        if above is not None:
            above.holders += 1

    def change(self) -> None:
        if self.leave is not None and not self.is_changed:
            mark_unfinished(self.descriptor)
            self.is_changed = True


class Target:
    def __init__(
        self,
        root: Path,
        leave_made: LeaveMade = lambda path, directory: None,
        settle: Callable[[], None] = lambda: None,
    ) -> None:
        """`root` itself may be reached through links: it is what the person named. `settle` is asked to finish whatever
        holds a directory.
        """
        raise_descriptor_limit()
        descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._levels = [OpenDirectory(b"", descriptor, None, None, is_changed=False)]
        self._held_behind: set[bytes] = set()
        self._leave_made = leave_made
        self._settle = settle

    @property
    def root(self) -> int:
        return self._levels[0].descriptor

    def find(self, path: bytes) -> int | None:
        """The descriptor of a directory that is there, None when a part of the way is missing. What `leave_made`
        answers for it, or for one on the way, is due from now on.
        """
        return self._reach(path, is_made=False)

    @contextmanager
    def opened(self, path: bytes) -> Iterator[int]:
        """A directory that is there, beside the way to where the last entry was; InTheWay, or OSError."""
        descriptor = os.dup(self.root)
        try:
            for name in path.split(b"/") if path else ():
                below = _open_below(name, descriptor)
                os.close(descriptor)
                descriptor = below
            yield descriptor
        finally:
            os.close(descriptor)

    @contextmanager
    def opened_place(self, path: bytes) -> Iterator[int]:
        """A descriptor of the place of whatever is at a path, which is not followed; InTheWay, or OSError."""
        parent, _, name = path.rpartition(b"/")
        with self.opened(parent) as directory:
            descriptor = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def make(self, path: bytes) -> int:
        """The descriptor of a directory, to change what is in it; it and those above it are made where missing, closed
        to others.
        """
        descriptor = self._reach(path, is_made=True)
        assert descriptor is not None
        self._levels[-1].change()
        return descriptor

    def hold(self) -> OpenDirectory:
        """The directory that was made last; it is not left before it is let go of."""
        self._levels[-1].holders += 1
        return self._levels[-1]

    def let_go(self, directory: OpenDirectory) -> None:
        """Whoever does so last leaves it, and maybe those above it, the deepest first."""
        last: OpenDirectory | None = directory
        while last is not None:
            last.holders -= 1
            if last.holders:
                break
            self._leave(last)
            last = last.above

    def make_entry(self, path: bytes) -> tuple[int, bool]:
        """The same for a directory that will get its owner and mode later: closed to others until then; is it new?"""
        parent, _, name = path.rpartition(b"/")
        self._reach(parent, is_made=True)
        descriptor = self._reach(path, is_made=False)
        if descriptor is not None:
            return descriptor, False
        made = self._make_below(name, is_marked=True)
        if made is not None:
            self._enter(path, made, None, is_changed=False)
            return made, True
        descriptor = self._reach(path, is_made=True)
        assert descriptor is not None
        return descriptor, False

    def on_leave(self, path: bytes, leave: Leave, *, is_changed: bool) -> None:
        """`path` is the directory that was made last. What is not changed yet is left as it is, unless something comes
        into it.
        """
        level = self._levels[-1]
        assert path.rpartition(b"/")[2] == level.name
        level.leave = leave
        if is_changed:
            level.change()

    def close(self) -> None:
        """Leaves all directories, the deepest first."""
        while self._levels:
            self._pop()

    def _reach(self, path: bytes, *, is_made: bool) -> int | None:
        components = path.split(b"/") if path else []
        self._leave_others(components)
        for depth in range(len(self._levels), len(components) + 1):
            name, so_far = components[depth - 1], b"/".join(components[:depth])
            made: int | None = None
            leave: Leave | None = None
            if so_far in self._held_behind:
                self._settle()  # what is due there comes before anything new
            try:
                descriptor = _open_below(name, self._levels[-1].descriptor)
            except FileNotFoundError:
                if not is_made:
                    return None
                if self._levels[-1].holders > 1:
                    self._settle()  # a file that is being finished may have that name
                leave = self._leave_made(so_far, None)
                made = self._make_below(name, is_marked=leave is not None)
                descriptor = _open_below(name, self._levels[-1].descriptor) if made is None else made
            if made is None:
                leave = self._leave_made(so_far, descriptor)
            self._enter(so_far, descriptor, leave, is_changed=made is not None and leave is not None)
            self._levels[-1].change()
        return self._levels[-1].descriptor

    def _make_below(self, name: bytes, *, is_marked: bool) -> int | None:
        """A new directory in the last one; None where something has got that name meanwhile."""
        self._levels[-1].change()
        above = self._levels[-1].descriptor
        try:
            os.mkdir(name, MODE_AS_MADE if is_marked else 0o700, dir_fd=above)
        except FileExistsError:
            return None
        descriptor = _open_below(name, above)
        try:
            _check_fresh(descriptor)
        except InTheWay:
            os.close(descriptor)
            raise
        if is_marked:
            mark_unfinished(descriptor)
        return descriptor

    def _leave_others(self, components: list[bytes]) -> None:
        """Leaves the directories that are not on the way."""
        common = 0
        for level, name in zip(self._levels[1:], components, strict=False):
            if level.name != name:
                break
            common += 1
        while len(self._levels) > common + 1:
            self._pop()

    def _enter(self, path: bytes, descriptor: int, leave: Leave | None, *, is_changed: bool) -> None:
        self._levels.append(OpenDirectory(path, descriptor, leave, self._levels[-1], is_changed=is_changed))

    def _pop(self) -> None:
        directory = self._levels.pop()
        if directory.holders > 1:
            self._held_behind.add(directory.path)
        self.let_go(directory)
        if len(self._held_behind) >= _HELD_BEHIND_MAX:
            self._settle()

    def _leave(self, directory: OpenDirectory) -> None:
        self._held_behind.discard(directory.path)
        try:
            if directory.leave is not None and directory.is_changed:
                directory.leave(directory.descriptor)
        finally:
            os.close(directory.descriptor)


def _check_fresh(directory: int) -> None:
    """What was just made is this user's, closed and empty; something else was put in its place, and stays as it is."""
    status = os.fstat(directory)
    is_ours = status.st_uid == os.geteuid() and not status.st_mode & 0o077
    if not is_ours or os.listdir(directory):
        raise InTheWay(errno.EEXIST, "something else is where a directory was made")


def _open_below(name: bytes, above: int) -> int:
    try:
        return os.open(name, _OPEN_DIRECTORY, dir_fd=above)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR):
            raise InTheWay(error.errno, "something that is no directory is in the way") from None
        raise


def status_of(name: bytes, directory: int) -> os.stat_result | None:
    try:
        return os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return None
