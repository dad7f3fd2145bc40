"""Trees that change with every round and have much in common with each other.

A hundred thousand dropped chunks in an hour are 28 a second. A chunk is half a MiB at least, so 14 MiB/s have to be
read and hashed: two cores do that beside the rest. They need not be stored: most files are one line again and again, a
chunk of its own that becomes a record of some hundred bytes. What fills containers, so that they are worth moving, are
a few MiB of random bytes in each round.
"""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import threading
from dataclasses import dataclass
from pathlib import Path

MIB = 1 << 20
CHUNK_FILE_BYTES = MIB // 2  # docs/format.md: a bundle ends behind a file of this size, so the file is a chunk
DIRECTORIES = 5
_SMALL_BYTES = (0, 1, 300, 9_000, 40_000)
_POOL_SIZE = 2_000


@dataclass(frozen=True, slots=True)
class Sizes:
    """Of one tree: what it has, and what of it is new in each round."""

    chunk_files: int = 240
    new_chunk_files: int = 120
    small_files: int = 60
    large_bytes: int = 8 * MIB
    new_large_bytes: int = 2 * MIB
    noise_bytes: int = 3 * MIB


class CommonContents:
    """What trees have in common: the same content comes at the same time, later, and again after it was dropped."""

    def __init__(self, seed: int) -> None:
        self._source = random.Random(seed)
        self._lock = threading.Lock()
        self._names: list[str] = []

    def draw(self) -> str:
        """Every second time one that a tree has or had."""
        with self._lock:
            if self._names and self._source.random() < 0.5:
                return self._source.choice(self._names)
            name = f"common {self._source.getrandbits(64):x}"
            self._names.append(name)
            del self._names[:-_POOL_SIZE]
            return name


class Tree:
    def __init__(self, root: Path, seed: int, common: CommonContents, sizes: Sizes) -> None:
        self.root = root
        self._source = random.Random(seed)
        self._common = common
        self._sizes = sizes
        for number in range(DIRECTORIES):
            (root / f"dir-{number}").mkdir(parents=True)
        (root / "large").write_bytes(self._source.randbytes(sizes.large_bytes))

    def change(self) -> None:
        """Files come, change, move and go; in place, or as a new file of the same name."""
        for number in self._source.sample(range(self._sizes.chunk_files), self._sizes.new_chunk_files):
            is_common = self._source.random() < 0.5
            name = self._common.draw() if is_common else f"own {self._source.getrandbits(64):x}"
            self._write(f"chunk-{number}", one_chunk(name))
        for number in self._source.sample(range(self._sizes.small_files), self._sizes.small_files // 2):
            self._write(f"small-{number}", self._source.randbytes(self._source.choice(_SMALL_BYTES)))
        self._write("noise", self._source.randbytes(self._sizes.noise_bytes))
        with (self.root / "large").open("r+b") as file:
            file.seek(self._source.randrange(self._sizes.large_bytes - self._sizes.new_large_bytes))
            file.write(self._source.randbytes(self._sizes.new_large_bytes))
        self._rearrange()

    def _rearrange(self) -> None:
        found = sorted(path for path in self.root.rglob("chunk-*") if path.is_file() and not path.is_symlink())
        gone, moved, copied, linked = self._source.sample(found, 4)
        copy = self._some_directory() / f"chunk-copy-{self._source.randrange(9)}"
        if copied != copy:
            copy.unlink(missing_ok=True)  # it may be another name of what is copied
            shutil.copy2(copied, copy)
        for name, make in (("hard link", os.link), ("link", os.symlink)):
            (self.root / name).unlink(missing_ok=True)
            make(linked, self.root / name)
        linked.chmod(self._source.choice((0o600, 0o640, 0o644)))
        gone.unlink(missing_ok=True)  # it may have been where the copy is now
        if moved.exists():
            moved.replace(self._some_directory() / f"chunk-moved-{self._source.randrange(9)}")

    def _write(self, name: str, content: bytes) -> None:
        path = self.root / f"dir-{hash_of(name) % DIRECTORIES}" / name
        if self._source.random() < 0.5:
            path.write_bytes(content)
            return
        new = path.with_name(f"{name}.new")
        new.write_bytes(content)
        new.replace(path)

    def _some_directory(self) -> Path:
        return self.root / f"dir-{self._source.randrange(DIRECTORIES)}"


def one_chunk(name: str) -> bytes:
    line = hashlib.sha256(name.encode()).hexdigest().encode() + b"\n"
    return (line * (CHUNK_FILE_BYTES // len(line) + 1))[:CHUNK_FILE_BYTES]


def hash_of(name: str) -> int:
    """The same in each process."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "little")
