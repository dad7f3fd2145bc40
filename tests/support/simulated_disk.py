"""A file system in memory that knows what a power cut would leave of it; `SimulatedDoor` is the way in.

    disk = SimulatedDisk(Path("/sim/disk1"))        # the path need not exist; nothing real is touched
    disk.load(real_directory)                       # optional: everything below it, durable
    door = SimulatedDoor([disk], kill_after(7))     # one door is one process; several disks are given in a list
    ...                                             # Killed (a BaseException) is raised at the 7th changing call
    disk.cut_power(Random(seed))                    # power loss; leave it out for a killed process
    door = SimulatedDoor([disk])                    # the next process

A process that was killed leaves the live state (the page cache survives it). After `cut_power` only what was synced is
certain. Of each write that was not: all, nothing, or sectors (512 B) or pages (4 KiB) of it, independently of the
others; of a size that was not synced any one on the way, with zeros, garbage or bytes of other files where nothing
was written; of each change of a directory that was not synced: it happened or not, independently of the others, and a
rename is never half done. A file whose name was not synced is gone though its bytes were synced.

Also: `size_bytes` bounds it (ENOSPC); `trouble` = an errno that every call gives from now on; `is_read_only`;
`is_away` = not mounted: the path is not there; `copy()` before an experiment; `evict()` lets go of clean pages, so
that bytes which a failed sync lost show; `files()` are the live files by path. The same seed gives the same bytes.

Simpler than a real one: one rename within a directory only (EXDEV else), no links, no owners, no times.
"""

from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import NamedTuple

from tests.support.simulated_file import File


class Link(NamedTuple):
    name: str
    node: "Node"


class Unlink(NamedTuple):
    name: str


class Rename(NamedTuple):
    old: str
    new: str
    node: "Node"


class Directory:
    __slots__ = ("durable", "live", "log")

    def __init__(self) -> None:
        self.live: dict[str, Node] = {}
        self.durable: dict[str, Node] = {}
        self.log: list[Link | Unlink | Rename] = []

    def copy(self, copied: "dict[int, Node]") -> "Directory":
        """`copied` knows what was copied already: a file may be live under one name and durable under another."""
        twin = Directory()
        copied[id(self)] = twin
        twin.live = {name: copy_of(node, copied) for name, node in self.live.items()}
        twin.durable = {name: copy_of(node, copied) for name, node in self.durable.items()}
        twin.log = [
            step if isinstance(step, Unlink) else step._replace(node=copy_of(step.node, copied)) for step in self.log
        ]
        return twin

    def change(self, step: Link | Unlink | Rename) -> None:
        rename_in(self.live, step)
        self.log.append(step)

    def sync(self) -> None:
        for step in self.log:
            rename_in(self.durable, step)
        self.log.clear()

    def cut_power(self, rng: Random) -> None:
        chance = rng.choice((0.0, 0.5, 0.5, 1.0))
        for step in self.log:
            if rng.random() < chance:
                rename_in(self.durable, step)
        self.live = dict(self.durable)
        self.log.clear()


Node = File | Directory


class SimulatedDisk:
    def __init__(self, root: Path, size_bytes: int = 1 << 40) -> None:
        self.root = root
        self.size_bytes = size_bytes
        self.directory = Directory()
        self.trouble = 0
        self.is_read_only = False
        self.is_away = False

    def load(self, source: Path) -> None:
        """Everything below a real directory, durable."""
        for path in sorted(source.rglob("*")):
            *above, name = path.relative_to(source).parts
            directory = self.directory
            for part in above:
                inner = directory.live[part]
                assert isinstance(inner, Directory)
                directory = inner
            directory.change(Link(name, Directory() if path.is_dir() else File(path.read_bytes())))
            directory.sync()

    def save(self, target: Path) -> None:
        """The live files as real ones, in an empty directory."""
        for path, node in self._walk(self.directory):
            place_of_it = target / path.relative_to(self.root)
            if isinstance(node, Directory):
                place_of_it.mkdir(parents=True, exist_ok=True)
            else:
                place_of_it.write_bytes(node.live)

    def copy(self) -> "SimulatedDisk":
        copied = SimulatedDisk(self.root, self.size_bytes)
        copied.directory = self.directory.copy({})
        copied.trouble, copied.is_read_only, copied.is_away = self.trouble, self.is_read_only, self.is_away
        return copied

    def files(self) -> dict[Path, File]:
        return {path: node for path, node in self._walk(self.directory) if isinstance(node, File)}

    def used_bytes(self) -> int:
        return sum(len(file.live) for file in self.files().values())

    def evict(self) -> None:
        for file in self.files().values():
            file.evict()

    def cut_power(self, rng: Random) -> None:
        files = [bytes(file.live) for file in self.files().values()]
        stale = rng.choice(files) if files else b""
        self._cut(self.directory, rng, stale)

    def _cut(self, directory: Directory, rng: Random, stale: bytes) -> None:
        directory.cut_power(rng)
        for node in directory.live.values():
            if isinstance(node, Directory):
                self._cut(node, rng, stale)
            else:
                node.cut_power(rng, stale)

    def _walk(self, directory: Directory, path: Path | None = None) -> Iterator[tuple[Path, Node]]:
        path = path or self.root
        for name, node in sorted(directory.live.items()):
            yield path / name, node
            if isinstance(node, Directory):
                yield from self._walk(node, path / name)


def copy_of(node: Node, copied: dict[int, Node]) -> Node:
    if id(node) not in copied:
        copied[id(node)] = node.copy(copied) if isinstance(node, Directory) else node.copy()
    return copied[id(node)]


def rename_in(names: dict[str, Node], step: Link | Unlink | Rename) -> None:
    if isinstance(step, Unlink):
        names.pop(step.name, None)
    elif isinstance(step, Link):
        names[step.name] = step.node
    else:
        if names.get(step.old) is step.node:
            del names[step.old]
        names[step.new] = step.node
