"""What the tests of the store share: records made from the format page alone, and doors to the file system that lie."""

import errno
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

from blake3 import blake3

from vaultd.store.chunk_store import ChunkStore
from vaultd.store.containers.open_containers import StoredRecord
from vaultd.store.disk_door import Handle, SystemDoor
from vaultd.store.record_format import parse_header
from vaultd.store.store_settings import StoreSettings

VAULT = bytes(range(16))
KEYRING = b"K" * 16
KEY = b"k" * 16
NOW_NS = 1_700_000_000_000_000_000
CHANGES = {"pwrite", "fdatasync", "fsync_directory", "open_new", "rename", "unlink", "mkdir", "truncate"}


def short_hash(data: bytes) -> bytes:
    return blake3(data).digest()[:8]


def make_record(seed: int, size: int = 100, keyring: bytes = KEYRING, key: bytes = KEY) -> bytes:
    """A sealed record of `size` body bytes, as docs/format.md draws it; its id is `make_id(seed)`."""
    head = struct.pack("<4sBBBB16s16s32sI", b"SSR1", 1, 1, 1, 0, keyring, key, make_id(seed), size)
    body = (seed.to_bytes(8, "little") * (size // 8 + 1))[:size]
    return head + short_hash(head) + body


def make_companion(body: bytes, keyring: bytes = KEYRING) -> bytes:
    head = struct.pack("<4sBBBB16s16s32sI", b"SSC1", 1, 0, 3, 0, keyring, bytes(16), blake3(body).digest(), len(body))
    return head + short_hash(head) + body


def make_id(seed: int) -> bytes:
    return blake3(b"id" + seed.to_bytes(8, "little")).digest()


def stored(record: bytes) -> StoredRecord:
    return StoredRecord(parse_header(record), blake3(record).digest(), memoryview(record))


def records(*seeds: int, size: int = 100) -> list[StoredRecord]:
    return [stored(make_record(seed, size)) for seed in seeds]


def make_settings(root: Path, disks: int = 1, **changes: Any) -> StoreSettings:
    paths = [root / f"disk{number}" for number in range(disks)]
    for path in paths:
        path.mkdir(exist_ok=True)
    values: dict[str, Any] = {"container_bytes": 64 * 1024, "reserve_bytes": 0} | changes
    return StoreSettings(root / "index", paths, VAULT, **values)


def now_ns() -> int:
    return NOW_NS


def create(settings: StoreSettings, door: Any = None) -> ChunkStore:
    return ChunkStore.create(settings, door or SystemDoor(), now_ns)


def reopen(settings: StoreSettings, door: Any = None, known: Callable[[bytes], bool] = lambda key: True) -> ChunkStore:
    store = ChunkStore.open(settings, door or SystemDoor(), now_ns)
    try:
        store.recover(known)
    except BaseException:
        store.close()
        raise
    return store


def read(store: ChunkStore, seed: int) -> bytes | None:
    (location,) = store.locate(KEYRING, [make_id(seed)])
    return store.read(location, make_id(seed)) if location else None


def flip(path: Path, offset: int, bit: int = 1) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ bit]))


class WrappedDoor(SystemDoor):
    """Every changing call passes through `around`."""

    def around(self, name: str, call: Callable[..., Any], arguments: tuple[Any, ...], named: dict[str, Any]) -> Any:
        return call(*arguments, **named)


def _wrap(name: str) -> Callable[..., Any]:
    def method(self: WrappedDoor, *arguments: Any, **named: Any) -> Any:
        return self.around(name, getattr(SystemDoor, name).__get__(self), arguments, named)

    return method


for _name in CHANGES | {"open_write", "close"}:
    setattr(WrappedDoor, _name, _wrap(_name))


class RecordingDoor(WrappedDoor):
    """Notes (call, file name) of everything that changes the disks."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str]] = []

    def around(self, name: str, call: Callable[..., Any], arguments: tuple[Any, ...], named: dict[str, Any]) -> Any:
        target = arguments[0]
        path = target.path if isinstance(target, Handle) else target
        if name in CHANGES:
            self.calls.append((name, path.name))
        return call(*arguments, **named)


class FailingDoor(WrappedDoor):
    """The `fail_at`-th changing call fails once; all others work. `after` counts down only once it is armed."""

    def __init__(self, number: int = errno.EIO) -> None:
        self.fail_at = 0
        self.count = 0
        self.number = number
        self.failed = ""

    def arm(self, fail_at: int) -> None:
        self.fail_at = fail_at
        self.count = 0

    def around(self, name: str, call: Callable[..., Any], arguments: tuple[Any, ...], named: dict[str, Any]) -> Any:
        if self.fail_at and name in CHANGES:
            self.count += 1
            if self.count == self.fail_at:
                self.failed = name
                raise OSError(self.number, "told to fail")
        return call(*arguments, **named)


class Crash(BaseException):
    """The process ends here."""


class CrashingDoor(WrappedDoor):
    """Ends the process at the n-th changing call: after it, or with `torn` in the middle of a write."""

    def __init__(self, crash_at: int, *, torn: bool) -> None:
        self.crash_at = crash_at
        self.torn = torn
        self.count = 0

    def around(self, name: str, call: Callable[..., Any], arguments: tuple[Any, ...], named: dict[str, Any]) -> Any:
        if name not in CHANGES:
            return call(*arguments, **named)
        self.count += 1
        if self.count > self.crash_at:
            raise Crash
        if self.count == self.crash_at:
            if name == "pwrite" and self.torn:
                handle, view, offset = arguments
                half = len(view) // 2
                with handle.path.open("r+b") as file:
                    file.seek(offset)
                    file.write(bytes(view[:half]))
            else:
                call(*arguments, **named)
            raise Crash
        return call(*arguments, **named)


class PowerLossDoor(WrappedDoor):
    """Keeps, beside the real files, what a disk would hold after a power cut: synced bytes under synced names."""

    def __init__(self, roots: list[Path], crash_at: int) -> None:
        self.crash_at = crash_at
        self.count = 0
        self.roots = roots
        self.live: dict[Path, list[bytes]] = {}
        self.directories: set[Path] = set()
        for root in roots:
            for path in root.rglob("*"):
                if path.is_dir():
                    self.directories.add(path)
                else:
                    self.live[path] = [path.read_bytes()]
        self.durable = dict(self.live)

    def around(self, name: str, call: Callable[..., Any], arguments: tuple[Any, ...], named: dict[str, Any]) -> Any:
        if name not in CHANGES:
            return call(*arguments, **named)
        self.count += 1
        if self.count > self.crash_at:
            raise Crash
        answer = call(*arguments, **named)
        getattr(self, f"note_{name}", lambda *_: None)(*arguments)
        if self.count == self.crash_at:
            raise Crash
        return answer

    def note_open_new(self, path: Path) -> None:
        self.live[path] = [b""]

    def note_fdatasync(self, handle: Handle) -> None:
        self.live[handle.path][0] = handle.path.read_bytes()

    def note_rename(self, old: Path, new: Path) -> None:
        self.live[new] = self.live.pop(old)

    def note_unlink(self, path: Path) -> None:
        self.live.pop(path)

    def note_fsync_directory(self, path: Path) -> None:
        for name in [name for name in self.durable if name.parent == path and name not in self.live]:
            del self.durable[name]
        self.durable.update({name: file for name, file in self.live.items() if name.parent == path})
        self.directories |= {child for child in path.iterdir() if child.is_dir()}

    def cut_power(self) -> None:
        for root in self.roots:
            shutil.rmtree(root)
            root.mkdir()
        for directory in sorted(self.directories):
            if directory.parent.exists():
                directory.mkdir()
        for path, (data,) in self.durable.items():
            if path.parent.exists():
                path.write_bytes(data)
