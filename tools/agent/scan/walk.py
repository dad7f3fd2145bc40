"""Walking the selected trees in the order of the manifest, by directory descriptors, without following any link.

Invariants: entries come in the order of `selection.scan_key`; the directories above an included path come once, before
it; no recursion, and at most `OPEN_DIRECTORIES_MAX` descriptors whatever the depth. Runs in one thread at a time.
"""

import errno
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from tools.agent.scan.cache_tag import TAG, is_tagged
from tools.agent.scan.included import GOES_THROUGH_LINK, MOUNT_GONE, Included
from tools.agent.scan.sorted_names import NAMES_IN_MEMORY_MAX, sorted_names
from tools.agent.selection import Matcher, Selection, is_inside, parents, scan_key
from tools.agent.system.descriptor_limit import raise_descriptor_limit
from tools.agent.system.kernel_mounts import kernel_devices

OPEN_DIRECTORIES_MAX = 200
_OPEN_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# Going through a directory needs the permission to search it only.
_PASS_DIRECTORY = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC

# What mounts on demand has another device before it is opened.
_AS_OPENED = -1

Warn = Callable[[bytes, str], None]


class Found(NamedTuple):
    """One thing of a tree. `directory` is a descriptor of where it is, good until the next one is asked for;
    `is_unlisted`: a directory that could not be listed, what is below it is unknown."""

    path: bytes
    status: os.stat_result
    directory: int
    name: bytes
    is_unlisted: bool = False


class _Scope(NamedTuple):
    """What goes for a directory: the device of its included path, the patterns, and whether only what leads to another
    included path is taken; `kept`: one name beside it.
    """

    device: int
    is_excluded: Matcher | None
    leads_only: bool
    kept: bytes | None = None


class _Level:
    """One directory on the way down. Its descriptor is closed while too many below it are open. `is_empty`: it has no
    names, excluded ones neither."""

    __slots__ = ("descriptor", "device", "inode", "is_empty", "names", "prefix", "scope")

    def __init__(self, descriptor: int, prefix: bytes, names: Iterator[bytes], scope: _Scope) -> None:
        status = os.fstat(descriptor)
        self.descriptor = descriptor
        self.device = status.st_dev
        self.inode = status.st_ino
        self.prefix = prefix
        first = next(names, None)
        self.is_empty = first is None
        self.names = names if first is None else chain((first,), names)
        self.scope = scope if scope.device != _AS_OPENED else scope._replace(device=status.st_dev)

    def has(self, name: bytes) -> bool:
        try:
            os.stat(name, dir_fd=self.descriptor, follow_symlinks=False)
        except OSError:
            return False
        return True

    def take(self, descriptor: int) -> None:
        """Of this directory, opened anew; one of another is closed."""
        status = os.fstat(descriptor)
        if (status.st_dev, status.st_ino) == (self.device, self.inode):
            self.descriptor = descriptor
        else:
            os.close(descriptor)

    def close(self) -> None:
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1


class TreeWalk:
    def __init__(
        self, selection: Selection, spool: Path, warn: Warn, included: Included | None = None,
        names_in_memory_max: int = NAMES_IN_MEMORY_MAX,
    ) -> None:  # fmt: skip
        self._selection = selection
        self._spool = spool
        self._warn = warn
        self.included = included or Included(selection)
        self._names_in_memory_max = names_in_memory_max
        self._forced = selection.inner | selection.leading
        self._inner_left = set(selection.inner)
        self._unreadable: set[bytes] = set()
        self._kernel_devices: dict[int, bool] = {}
        self.roots_found = 0
        self.kernel_mounts_left = 0
        raise_descriptor_limit()

    def __iter__(self) -> Iterator[Found]:
        told: set[bytes] = set()
        for root in self._selection.roots:
            yield from self._above(root, told)
            yield from self._below(root)
            self._tell_not_reached(root)
        for path in self.included.mounts_gone():
            self._warn(path, MOUNT_GONE)

    def _above(self, root: bytes, told: set[bytes]) -> Iterator[Found]:
        """The directories that lead to an included path, for their owner, mode and time."""
        for path in parents(root):
            if path in told:
                continue
            told.add(path)
            try:
                status = os.stat(b"/" + path, follow_symlinks=False)
            except OSError as error:
                # What is missing here is told with the included path.
                if error.errno != errno.ENOENT:
                    self._warn(path, "unreadable")
                return
            if stat.S_ISDIR(status.st_mode):
                yield Found(path, status, -1, b"")

    def _below(self, root: bytes) -> Iterator[Found]:
        try:
            directory = open_directory(os.path.dirname(root))
        except OSError as error:
            self._miss(root, _include_code(error))
            return
        name = os.path.basename(root)
        top = None
        try:
            status = os.stat(name or b".", dir_fd=directory, follow_symlinks=False)
            self._warn_of_link(root, status)
            if stat.S_ISDIR(status.st_mode):
                top = self._open(root, name or b".", directory, self._scope_of_include(root))
                if top is None:
                    return
                if root:
                    self._check_mount(root, top, os.fstat(directory).st_dev)
            else:
                self._check_empty(root, is_link=stat.S_ISLNK(status.st_mode))
            yield Found(root, status, directory, name)
            if not self.included.is_missed(root):
                self.roots_found += 1
            if top is not None:
                yield from self._tree(top)
        except OSError as error:
            self._miss(root, _include_code(error))
        finally:
            os.close(directory)
            if top is not None:
                top.close()

    def _scope_of_include(self, path: bytes) -> _Scope:
        return _Scope(_AS_OPENED, self._selection.matcher_below(path), False)

    def _warn_of_link(self, include: bytes, status: os.stat_result) -> None:
        if stat.S_ISLNK(status.st_mode):
            self._warn(include, "include is a link")

    def _miss(self, path: bytes, code: str) -> None:
        self.included.check_missed(path, code)
        if code == "unreadable" and path in self._selection.leading:
            self._unreadable.add(path)
        self._warn(path, code)

    def _check_empty(self, path: bytes, *, is_link: bool = False) -> None:
        if code := self.included.check_empty(path, is_link=is_link):
            self._warn(path, code)

    def _tell_not_reached(self, root: bytes) -> None:
        lost = sorted((path for path in self._inner_left if is_inside(path, root)), key=scan_key)
        self._inner_left.difference_update(lost)
        for path in lost:
            is_readable = self._unreadable.isdisjoint(parents(path))
            self._miss(path, "include not reached" if is_readable else "unreadable")

    def _tree(self, top: _Level) -> Iterator[Found]:
        levels = [top]
        try:
            while levels:
                level = levels[-1]
                for found in self._entries(level):
                    if stat.S_ISDIR(found.status.st_mode):
                        # Opened before it is told, because its entry says whether what is below it is known.
                        is_listed = self._descend(found, levels)
                        yield found if is_listed else found._replace(is_unlisted=True)
                        if len(levels) > OPEN_DIRECTORIES_MAX:
                            levels[-OPEN_DIRECTORIES_MAX - 1].close()
                        break
                    yield found
                else:
                    if level.is_empty:
                        self._check_empty(level.prefix[:-1])
                    levels.pop()
                    self._reopen(level, levels)
                    level.close()
        finally:
            for level in levels:
                level.close()

    def _entries(self, level: _Level) -> Iterator[Found]:
        """The rest of one directory's entries; a hot loop, one turn for each thing on the disk."""
        kept_out, forced = self._selection.kept_out, self._forced
        is_excluded, leads_only, kept = level.scope.is_excluded, level.scope.leads_only, level.scope.kept
        prefix, descriptor = level.prefix, level.descriptor
        device, scope_device = level.device, level.scope.device
        if descriptor < 0:
            return
        for name in level.names:
            path = prefix + name
            is_forced = bool(forced) and path in forced
            if leads_only and not is_forced and name != kept:
                continue
            try:
                status = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
            except OSError as error:
                self._miss(path, "vanished" if error.errno == errno.ENOENT else "unreadable")
                continue
            if is_excluded is not None and not is_forced and is_excluded(path, stat.S_ISDIR(status.st_mode)):
                continue
            if kept_out is not None and status.st_ino == kept_out[1] and status.st_dev == kept_out[0]:
                continue
            if status.st_dev != device and not is_forced and self._leave_kernel_file(status, scope_device):
                continue
            if is_forced and path in self._inner_left:
                self._inner_left.remove(path)
                self._warn_of_link(path, status)
                if not stat.S_ISDIR(status.st_mode):
                    self._check_empty(path, is_link=stat.S_ISLNK(status.st_mode))
            yield Found(path, status, descriptor, name)

    def _is_kernels(self, device: int, scope_device: int) -> bool:
        if device == scope_device:
            return False
        if device not in self._kernel_devices:  # looked up when it is met: a file system may be mounted on demand
            self._kernel_devices[device] = device in kernel_devices()
        return self._kernel_devices[device]

    def _leave_kernel_file(self, status: os.stat_result, scope_device: int) -> bool:
        """Whether something is mounted over a file, as namespaces are; directories are stored, and not entered."""
        if stat.S_ISDIR(status.st_mode) or not self._is_kernels(status.st_dev, scope_device):
            return False
        self.kernel_mounts_left += 1
        return True

    def _descend(self, found: Found, levels: list[_Level]) -> bool:
        """Whether what is below the directory is known: also where nothing of it is wanted."""
        scope = self._scope_below(found, levels[-1].scope)
        if scope is None:
            return True
        level = self._open(found.path, found.name, found.directory, scope)
        if level is None:
            return False
        if self._selection.exclude_caches and found.path not in self._selection.inner and is_tagged(level.descriptor):
            level.scope = level.scope._replace(leads_only=True, kept=TAG)
        self._check_mount(found.path, level, levels[-1].device)
        levels.append(level)
        return True

    def _check_mount(self, path: bytes, level: _Level, device_above: int) -> None:
        code = None
        if level.device == device_above:
            code = self.included.check_mount(path, level.has, is_empty=level.is_empty)
        elif not level.is_empty:
            code = self.included.note_mount(path)
        if code:
            self._warn(path, code)

    def _scope_below(self, found: Found, above: _Scope) -> _Scope | None:
        """None when nothing of the directory is taken."""
        path, device = found.path, found.status.st_dev
        if path in self._selection.inner:
            return self._scope_of_include(path)
        is_foreign = self._selection.one_file_system and device != above.device
        if not is_foreign and self._is_kernels(device, above.device):
            is_foreign = True
            self.kernel_mounts_left += path not in self._selection.leading
        if path not in self._selection.leading:
            return None if is_foreign else above
        is_excluded = above.is_excluded is not None and above.is_excluded(path, True)
        return above._replace(leads_only=True) if is_foreign or is_excluded else above

    def _open(self, path: bytes, name: bytes, directory: int, scope: _Scope) -> _Level | None:
        descriptor = -1
        try:
            descriptor = os.open(name, _OPEN_DIRECTORY, dir_fd=directory)
            names = sorted_names(descriptor, self._spool, self._names_in_memory_max)
        except OSError as error:
            if descriptor >= 0:
                os.close(descriptor)
            self._miss(path, "vanished" if error.errno == errno.ENOENT else "unreadable")
            return None
        return _Level(descriptor, path + b"/" if path else b"", names, scope)

    def _reopen(self, below: _Level, levels: list[_Level]) -> None:
        """Opens the directory above again where it was closed on the way down; it must still be the same one."""
        if not levels or levels[-1].descriptor >= 0:
            return
        above = levels[-1]
        path = above.prefix[:-1]
        # From below as a rule; where that one moved, by the path: what is above did not move with it.
        ways = (lambda: os.open("..", _OPEN_DIRECTORY, dir_fd=below.descriptor), lambda: open_directory(path))
        for way in ways:
            with suppress(OSError, ValueError):
                above.take(way())
            if above.descriptor >= 0:
                return
        self._warn(path, "moved during the scan")


def open_directory(path: bytes) -> int:
    """Opens a directory given without its leading slash, component by component, to name what is in it and not to list
    it; a link on the way is an error."""
    descriptor = os.open(b"/", _PASS_DIRECTORY)
    for component in path.split(b"/") if path else ():
        try:
            below = os.open(component, _PASS_DIRECTORY, dir_fd=descriptor)
        finally:
            os.close(descriptor)
        descriptor = below
    return descriptor


def _include_code(error: OSError) -> str:
    if error.errno in (errno.ELOOP, errno.ENOTDIR):
        return GOES_THROUGH_LINK
    return "include not found" if error.errno == errno.ENOENT else "unreadable"
