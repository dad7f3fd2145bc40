"""The twin of `SystemDoor` on simulated disks (see `simulated_disk.py`), with the faults of `disk_faults.py`.

It answers and fails as the system does: `test_simulated_disk.py` holds it against the real one. One door is one
process: its descriptors are its own, and once it was killed every call but `close` raises `Killed`.
"""

import errno
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from tests.support.disk_faults import Faults, Killed, Kind, no_faults
from tests.support.simulated_disk import Directory, Link, Node, Rename, SimulatedDisk, Unlink
from tests.support.simulated_file import SECTOR_BYTES, File
from vaultd.store.disk_door import Handle, SystemDoor

Answer = TypeVar("Answer")


class SimulatedDoor:
    def __init__(self, disks: SimulatedDisk | Sequence[SimulatedDisk], faults: Faults | None = None) -> None:
        self.disks = [disks] if isinstance(disks, SimulatedDisk) else list(disks)
        self.faults = faults or no_faults()
        self.is_dead = False
        self.calls: list[tuple[str, str]] = []  # (call, file name) of every counted one
        self._nodes: dict[int, tuple[Node, bool]] = {}  # by descriptor, and whether it may be written

    def open_new(self, path: Path, *, direct: bool = False) -> Handle:
        def make() -> Handle:
            directory = self._parent(path, changing=True)
            if path.name in directory.live:
                raise _error(errno.EEXIST, path)
            file = File()
            directory.change(Link(path.name, file))
            return self._handle(file, path, direct=direct, writable=True)

        return self._do("open_new", path, make)

    def open_write(self, path: Path, *, direct: bool = False) -> Handle:
        def look() -> Handle:
            node = self._node(path)
            self._disk(path, changing=True)
            if isinstance(node, Directory):
                raise _error(errno.EISDIR, path)
            return self._handle(node, path, direct=direct, writable=True)

        return self._do("open_write", path, look)

    def open_read(self, path: Path) -> Handle:
        return self._do("open_read", path, lambda: self._handle(self._node(path), path, direct=False, writable=False))

    def open_uncached(self, path: Path) -> Handle:
        def look() -> Handle:
            return self._handle(self._node(path), path, direct=True, writable=False)

        return self._do("open_uncached", path, look)

    def read_uncached(self, handle: Handle, view: memoryview, offset: int) -> int:
        def look() -> int:
            self._disk(handle.path)
            node, _ = self._opened(handle)
            if isinstance(node, Directory):
                raise _error(errno.EISDIR, handle.path)
            node.evict()
            data = node.live[offset : offset + len(view)]
            view[: len(data)] = data
            return len(data)

        return self._do("read_uncached", handle.path, look)

    def close(self, handle: Handle) -> None:
        if self._nodes.pop(handle.descriptor, None) is None and not self.is_dead:
            raise _error(errno.EBADF, handle.path)

    def pwrite(self, handle: Handle, view: bytes | bytearray | memoryview, offset: int) -> None:
        file = self._writable(handle, errno.EBADF)
        data = bytes(view)
        if handle.direct and (offset % SECTOR_BYTES or len(data) % SECTOR_BYTES):
            handle.direct = False
        kind = self._next("pwrite", handle.path)
        if kind in (Kind.tear, Kind.short):
            self._write(file, handle.path, offset, data[: self.faults.rng.randrange(len(data) + 1)])
        elif kind is not Kind.kill_before:
            self._require_room(file, handle.path, offset, data)
            self._write(file, handle.path, offset, data)
        if kind is Kind.short:
            raise self.faults.error(handle.path)
        self._end(kind)

    def read(self, handle: Handle, offset: int, length: int) -> bytes:
        def look() -> bytes:
            self._disk(handle.path)
            node, _ = self._opened(handle)
            if isinstance(node, Directory):
                raise _error(errno.EISDIR, handle.path)
            return bytes(node.live[offset : offset + length])

        return self._do("read", handle.path, look)

    def fdatasync(self, handle: Handle) -> None:
        node, _ = self._opened(handle)
        kind = self._next("fdatasync", handle.path)
        if kind is Kind.lose and isinstance(node, File):
            node.lose_sync()
            raise self.faults.error(handle.path)
        if kind is not Kind.kill_before:
            self._disk(handle.path)
            node.sync()
        self._end(kind)

    def truncate(self, handle: Handle, length: int) -> None:
        self._do("truncate", handle.path, lambda: self._writable(handle, errno.EINVAL).resize(length))

    def drop_cache(self, handle: Handle, offset: int, length: int) -> None:
        """Of the whole file, whatever is asked for: the system may do so too."""
        self._require_alive()
        node, _ = self._opened(handle)
        if isinstance(node, File):
            node.evict()

    def size(self, path: Path) -> int:
        def look() -> int:
            node = self._node(path)
            return len(node.live) if isinstance(node, File) else 4096

        return self._do("size", path, look)

    def exists(self, path: Path) -> bool:
        """Outside of all disks, where LMDB is, the real file system is asked."""
        if self._is_outside(path):
            return os.path.lexists(path)
        try:
            self._do("exists", path, lambda: self._node(path))
        except OSError:
            return False
        return True

    def listdir(self, path: Path) -> Sequence[str]:
        return self._do("listdir", path, lambda: sorted(self._directory(path).live))

    def mkdir(self, path: Path) -> None:
        def make() -> None:
            directory = self._parent(path, changing=True)
            if path.name in directory.live:
                raise _error(errno.EEXIST, path)
            directory.change(Link(path.name, Directory()))

        self._do("mkdir", path, make)

    def rename(self, old: Path, new: Path) -> None:
        """Also of an image that is set aside, outside of all disks."""
        if self._is_outside(old):
            return SystemDoor().rename(old, new)

        def move() -> None:
            source, target = self._parent(old, changing=True), self._parent(new, changing=True)
            node, held = source.live.get(old.name), target.live.get(new.name)
            if node is None:
                raise _error(errno.ENOENT, old)
            if source is not target:
                raise _error(errno.EXDEV, old)
            if held is node:
                return
            if isinstance(held, Directory):
                if not isinstance(node, Directory):
                    raise _error(errno.EISDIR, new)
                if held.live:
                    raise _error(errno.ENOTEMPTY, new)
            elif held is not None and isinstance(node, Directory):
                raise _error(errno.ENOTDIR, new)
            source.change(Rename(old.name, new.name, node))

        return self._do("rename", old, move)

    def unlink(self, path: Path) -> None:
        def remove() -> None:
            directory = self._parent(path, changing=True)
            if isinstance(self._node(path), Directory):
                raise _error(errno.EISDIR, path)
            directory.change(Unlink(path.name))

        self._do("unlink", path, remove)

    def fsync_directory(self, path: Path) -> None:
        if self._is_outside(path):
            return SystemDoor().fsync_directory(path)
        return self._do("fsync_directory", path, lambda: self._directory(path).sync())

    def space(self, path: Path) -> tuple[int, int]:
        """Index and catalog are LMDB's and lie on a real file system; how much room there is there is a real answer."""
        if self._is_outside(path):
            return SystemDoor().space(path)

        def look() -> tuple[int, int]:
            self._node(path)
            disk = self._disk(path)
            free = max(disk.size_bytes - disk.used_bytes(), 0)
            return disk.size_bytes, 0 if disk.is_read_only else free

        return self._do("space", path, look)

    def settle_space(self, path: Path) -> None:
        self._do("settle_space", path, lambda: self._directory(path))

    def is_read_only(self, path: Path) -> bool:
        return self._do("is_read_only", path, lambda: self._disk(path).is_read_only)

    def _is_outside(self, path: Path) -> bool:
        return not any(path.is_relative_to(disk.root) for disk in self.disks)

    def _do(self, name: str, path: Path, action: Callable[[], Answer]) -> Answer:
        kind = self._next(name, path)
        if kind is Kind.kill_before:
            self._end(kind)
        answer = action()
        self._end(kind)
        return answer

    def _next(self, name: str, path: Path) -> Kind:
        """What happens to this call; an error is raised here, a death by `_end`."""
        self._require_alive()
        before = self.faults.count
        kind = self.faults.next(name, path)
        if self.faults.count != before:
            self.calls.append((name, path.name))
        if (
            kind is Kind.fail
            or (kind is Kind.short and name != "pwrite")
            or (kind is Kind.lose and name != "fdatasync")
        ):
            raise self.faults.error(path)
        return kind

    def _end(self, kind: Kind) -> None:
        if kind in (Kind.kill_before, Kind.kill_after, Kind.tear):
            self.is_dead = True
            raise Killed

    def _require_alive(self) -> None:
        if self.is_dead:
            raise Killed

    def _disk(self, path: Path, *, changing: bool = False) -> SimulatedDisk:
        for disk in self.disks:
            if path.parts[: len(disk.root.parts)] == disk.root.parts:
                if disk.is_away:
                    raise _error(errno.ENOENT, path)
                if disk.trouble:
                    raise _error(disk.trouble, path)
                if changing and disk.is_read_only:
                    raise _error(errno.EROFS, path)
                return disk
        raise _error(errno.ENOENT, path)

    def _node(self, path: Path) -> Node:
        disk = self._disk(path)
        node: Node | None = disk.directory
        for part in path.parts[len(disk.root.parts) :]:
            if not isinstance(node, Directory):
                raise _error(errno.ENOTDIR, path)
            node = node.live.get(part)
            if node is None:
                raise _error(errno.ENOENT, path)
        assert node is not None
        return node

    def _directory(self, path: Path) -> Directory:
        node = self._node(path)
        if not isinstance(node, Directory):
            raise _error(errno.ENOTDIR, path)
        return node

    def _parent(self, path: Path, *, changing: bool) -> Directory:
        self._disk(path, changing=changing)
        return self._directory(path.parent)

    def _handle(self, node: Node, path: Path, *, direct: bool, writable: bool) -> Handle:
        descriptor = 1 + max(self._nodes, default=2)
        self._nodes[descriptor] = (node, writable)
        return Handle(descriptor, path, direct=direct)

    def _opened(self, handle: Handle) -> tuple[Node, bool]:
        self._require_alive()
        if handle.descriptor not in self._nodes:
            raise _error(errno.EBADF, handle.path)
        return self._nodes[handle.descriptor]

    def _writable(self, handle: Handle, otherwise: int) -> File:
        node, writable = self._opened(handle)
        if not writable or isinstance(node, Directory):
            raise _error(otherwise, handle.path)
        self._disk(handle.path, changing=True)
        return node

    def _require_room(self, file: File, path: Path, offset: int, data: bytes) -> None:
        """A write that does not fit lands in part, as the system does it."""
        disk = self._disk(path)
        if disk.size_bytes >= 1 << 40:
            return
        free = max(disk.size_bytes - disk.used_bytes(), 0)
        fits = max(len(file.live) + free - offset, 0)
        if len(data) > fits:
            self._write(file, path, offset, data[:fits])
            raise _error(errno.ENOSPC, path)

    def _write(self, file: File, path: Path, offset: int, data: bytes) -> None:
        self._disk(path, changing=True)
        file.write(offset, data)


def _error(number: int, path: Path) -> OSError:
    return OSError(number, os.strerror(number), str(path))
