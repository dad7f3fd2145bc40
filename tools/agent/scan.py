"""From the disk to batches: walks, compares with the cache, reads and cuts what is new.

The walk and the cache's rows come in the same order and are merged as they go: no look-up for each path. Rows whose
bundle is not complete yet wait, and with them all rows behind; a bundle is ended early rather than let more than
`WAITING_ROWS_MAX` wait. All of it runs in one thread at a time, called again and again for the next batch.
"""

import os
import stat
import time
from collections import OrderedDict
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from blake3 import blake3

from tools.agent.batch import BATCH_ROWS, Batch, Extents, ScanRow
from tools.agent.bundle import Bundler
from tools.agent.cache import Cache
from tools.agent.chunk import PendingChunk
from tools.agent.content import (
    ATTEMPTS_MAX,
    SIZELESS_BYTES_MAX,
    LargeFile,
    Replaced,
    TooLong,
    is_same,
    open_found,
    read_sizeless,
    read_small,
)
from tools.agent.extent_list import ChunkList
from tools.agent.fingerprint import NEVER_THE_SAME, Fingerprint, fingerprint_of, held_time, signed_inode
from tools.agent.kernel_mounts import UNSTEADY_TYPES, mounted_devices
from tools.agent.linked import CountedOnce
from tools.agent.missed import Missed
from tools.agent.row_maker import KINDS, RowMaker
from tools.agent.state import Expected
from tools.agent.walk import Found, TreeWalk
from tools.client.chunker import CUT_FROM_BYTES, FileCutter
from tools.client.manifest import FLAG_BELOW_UNKNOWN, FLAG_CHANGED_WHILE_READ, FLAG_NOT_READ, Extra, Kind

WAITING_ROWS_MAX = 16_384
UNREADABLE = "unreadable"
# Contents of this run that a later file may share; a duplicate farther away is found as a chunk at the latest.
_SHARED_CONTENTS_MAX = 16_384
# Where a computer enforces them, every file has one from the system; a restore leaves that to the system again.
_SYSTEM_ATTRIBUTES = frozenset({"security.selinux"})


@dataclass(slots=True)
class ScanFigures:
    """`extended_attributes` counts new and changed paths that have any, `hard_links` the further names of files,
    `kernel_mounts` the file systems of the kernel that were not entered; `bytes_total` an estimate, if any."""

    files: int = 0
    directories: int = 0
    others: int = 0
    protected_bytes: int = 0
    bytes_read: int = 0
    extended_attributes: int = 0
    hard_links: int = 0
    kernel_mounts: int = 0
    bytes_total: int | None = None


@dataclass(frozen=True, slots=True)
class ScanKeys:
    hash_key: bytes
    chunker_seed: bytes


class _Content(NamedTuple):
    hash: bytes
    extents: Extents
    status: os.stat_result
    size_bytes: int
    is_changed: bool


class Scanner:
    """`directory` is the agent's own: lists of large files wait there."""

    def __init__(self, walk: TreeWalk, cache: Cache, keys: ScanKeys, missed: Missed, directory: Path) -> None:
        self.figures = ScanFigures()
        self._walk = walk
        self._cache = cache
        self._hash_key = keys.hash_key
        self._cutter = FileCutter(keys.chunker_seed)
        self._missed = missed
        self._directory = directory
        self._rows = RowMaker()
        self._bundler = Bundler()
        self._shared: OrderedDict[bytes, Extents] = OrderedDict()
        self._linked = CountedOnce()
        self._unsteady: dict[int, bool] = {}
        self._waiting: list[ScanRow | bytes] = []
        self._batch = Batch()
        self._steps = self._scan()

    def next_batch(self) -> Batch | None:
        """None after the last one."""
        self._batch = batch = Batch()
        next(self._steps, None)
        return None if batch.is_empty else batch

    @property
    def has_found_a_root(self) -> bool:
        """Whether any included path is there."""
        return self._walk.roots_found > 0

    @property
    def seen(self) -> Expected:
        """At the end: what the next scan expects to find."""
        return self._walk.included.seen()

    def _scan(self) -> Generator[bool, None, None]:
        """Yields whenever a batch is full."""
        all_known = self._cache.known_paths()
        known = next(all_known, None)
        for found in self._walk:
            begin_ns = time.time_ns()
            is_known = False
            key = found[0].replace(b"/", b"\0")
            while known is not None and known[0] < key:
                self._batch.gone.append(known[0])
                known = next(all_known, None)
                if self._batch.is_full:
                    yield True
            if known is not None and known[0] == key:
                is_known = True
                status = found[1]
                inode = signed_inode(status.st_ino)
                is_unchanged = known[1:] == (status.st_size, status.st_mtime_ns, status.st_ctime_ns, inode)
                known = next(all_known, None)
                if is_unchanged and not found[4]:
                    self._count(status, status.st_size)
                    if self._add_row(key):
                        yield True
                    continue
            if not (yield from self._take_new(found, begin_ns)) and is_known:
                self._batch.gone.append(key)
            if self._batch.is_full:
                yield True
        while known is not None:
            self._batch.gone.append(known[0])
            known = next(all_known, None)
            if self._batch.is_full:
                yield True
        self._end_bundle()
        self.figures.kernel_mounts = self._walk.kernel_mounts_left

    def _take_new(self, found: Found, begin_ns: int) -> Generator[bool, None, bool]:
        """Whether it has a row now; where not, what the base says of the path must not be said again."""
        kind = KINDS.get(stat.S_IFMT(found.status.st_mode))
        if kind is None:
            self._missed.add(found.path, "kind not stored yet")
            return False
        try:
            if kind is Kind.FILE:
                yield from self._take_file(found, begin_ns)
            else:
                self._take_other(found, kind, begin_ns)
        except (OSError, ValueError) as error:
            code = _code_of(error)
            self._walk.included.check_missed(found.path, code)
            self._missed.add(found.path, code)
            if code != UNREADABLE or kind is not Kind.FILE:
                return False
            return self._add_unread(found)
        return True

    def _add_unread(self, found: Found) -> bool:
        """Of a file of which nothing could be read: that it is there."""
        try:
            row = self._rows.other(found.path, found.status, NEVER_THE_SAME, {int(Extra.FLAGS): FLAG_NOT_READ})
        except ValueError:  # its path is too long
            return False
        self._add_row(row)
        return True

    def _take_other(self, found: Found, kind: Kind, begin_ns: int) -> None:
        extras: dict[int, object] | None = None
        fingerprint = self._fingerprint_of(found.status, begin_ns)
        if kind is Kind.SYMBOLIC_LINK:
            extras = {int(Extra.LINK_TARGET): os.fsencode(os.readlink(found.name, dir_fd=found.directory))}
        elif found.is_unlisted:
            extras, fingerprint = {int(Extra.FLAGS): FLAG_BELOW_UNKNOWN}, NEVER_THE_SAME
        self._add_row(self._rows.other(found.path, found.status, fingerprint, extras))
        self._note_attributes(b"/" + found.path)
        self._tell_far_time(found.path, found.status)
        self._count(found.status, 0)

    def _tell_far_time(self, path: bytes, status: os.stat_result) -> None:
        if held_time(status.st_mtime_ns) != status.st_mtime_ns:
            self._missed.add(path, "time out of range")

    def _take_file(self, found: Found, begin_ns: int) -> Generator[bool, None, None]:
        descriptor, status = open_found(found)
        try:
            if 0 < status.st_size < CUT_FROM_BYTES:
                content = self._bundled(*read_small(descriptor, status))
            else:
                content = yield from self._read(descriptor, status)
            self._note_attributes(descriptor)
        finally:
            os.close(descriptor)
        hash, extents, status, size_bytes, is_changed = content
        extras = None
        if is_changed:
            self._missed.add(found.path, "changed while it was read")
            extras = {int(Extra.FLAGS): FLAG_CHANGED_WHILE_READ}
        # The status of a sizeless file says nothing of its content.
        is_certain = not is_changed and size_bytes == status.st_size
        fingerprint = self._fingerprint_of(status, begin_ns) if is_certain else NEVER_THE_SAME
        hash_if_any = hash if size_bytes else None
        self._add_row(self._rows.file(found.path, status, size_bytes, hash_if_any, extents, fingerprint, extras))
        self._tell_far_time(found.path, status)
        self._count(status, size_bytes)

    def _fingerprint_of(self, status: os.stat_result, begin_ns: int) -> Fingerprint:
        device = status.st_dev
        if device not in self._unsteady:  # looked up when it is met: a file system may be mounted on demand
            self._unsteady[device] = device in mounted_devices(UNSTEADY_TYPES)
        return NEVER_THE_SAME if self._unsteady[device] else fingerprint_of(status, begin_ns)

    def _read(self, descriptor: int, status: os.stat_result) -> Generator[bool, None, _Content]:
        if status.st_size == 0 and os.read(descriptor, 1):
            status = os.fstat(descriptor)
            if status.st_size == 0:
                return (yield from self._read_sizeless(descriptor, status))
            os.lseek(descriptor, 0, os.SEEK_SET)
        if status.st_size < CUT_FROM_BYTES:
            return self._bundled(*read_small(descriptor, status))
        return (yield from self._read_large(descriptor))

    def _read_sizeless(self, descriptor: int, before: os.stat_result) -> Generator[bool, None, _Content]:
        content = read_sizeless(descriptor, CUT_FROM_BYTES)
        if len(content) == CUT_FROM_BYTES:
            return (yield from self._read_large(descriptor, SIZELESS_BYTES_MAX))
        after = os.fstat(descriptor)
        return self._bundled(content, after, not is_same(before, after))

    def _bundled(self, content: bytes, status: os.stat_result, is_changed: bool) -> _Content:
        self.figures.bytes_read += len(content)
        hash = blake3(content, key=self._hash_key).digest()
        extents: Extents = ()
        if content:
            extents = self._shared.get(hash) or self._cache.find_content(hash)
            if not extents:
                extent, ended = self._bundler.add(content, hash)
                extents = [extent]
                self._share(hash, extents)
                self._finish_bundles(ended)
        return _Content(hash, extents, status, len(content), is_changed)

    def _read_large(self, descriptor: int, sizeless_bytes_max: int | None = None) -> Generator[bool, None, _Content]:
        before_bytes = self.figures.protected_bytes
        try:
            for attempt in range(ATTEMPTS_MAX):
                large = LargeFile(descriptor, self._hash_key, self._cutter, sizeless_bytes_max)
                extents = yield from self._hand_over(large, before_bytes)
                self.figures.bytes_read += large.size_bytes
                if not large.is_changed or attempt + 1 == ATTEMPTS_MAX:
                    break
                extents.close()
        finally:
            self.figures.protected_bytes = before_bytes
        return _Content(large.hash, extents, large.status, large.size_bytes, large.is_changed)

    def _hand_over(self, large: LargeFile, before_bytes: int) -> Generator[bool, None, ChunkList]:
        """What was read counts as protected until the file itself does, so that whoever waits sees it move; not where
        other names of the file may have counted already."""
        figures = self.figures
        extents = ChunkList(self._directory)
        handed_bytes = 0
        for chunk in large:
            extents.add(chunk)
            self._batch.add_chunks([chunk])
            handed_bytes += chunk.size_bytes
            if large.status.st_nlink == 1:
                figures.protected_bytes = max(figures.protected_bytes, before_bytes + handed_bytes)
            if self._batch.is_full:
                yield True
        return extents

    def _share(self, hash: bytes, extents: Extents) -> None:
        self._shared[hash] = extents
        if len(self._shared) > _SHARED_CONTENTS_MAX:
            self._shared.popitem(last=False)

    def _note_attributes(self, place: int | bytes) -> None:
        """By descriptor, or by a path whose last component is not followed."""
        try:
            names = os.listxattr(place) if isinstance(place, int) else os.listxattr(place, follow_symlinks=False)
        except OSError:
            return
        if names and not _SYSTEM_ATTRIBUTES.issuperset(names):
            self.figures.extended_attributes += 1

    def _add_row(self, row: ScanRow | bytes) -> bool:
        """Whether the batch is full now."""
        if self._bundler.is_empty:
            rows = self._batch.rows
            rows.append(row)
            return len(rows) >= BATCH_ROWS
        self._waiting.append(row)
        if len(self._waiting) < WAITING_ROWS_MAX:
            return False
        self._end_bundle()
        return self._batch.is_full

    def _finish_bundles(self, ended: list[PendingChunk]) -> None:
        """Rows before the file that ended a bundle may go; the file's own row follows when it is added."""
        if ended:
            self._batch.add_chunks(ended)
            self._release()

    def _end_bundle(self) -> None:
        self._batch.add_chunks(self._bundler.end())
        self._release()

    def _release(self) -> None:
        self._batch.rows += self._waiting
        self._waiting = []

    def _count(self, status: os.stat_result, size_bytes: int) -> None:
        figures = self.figures
        mode = status.st_mode
        if stat.S_ISREG(mode):
            figures.files += 1
            if status.st_nlink == 1 or self._linked.is_first(status):
                figures.protected_bytes += size_bytes
            else:
                figures.hard_links += 1
        elif stat.S_ISDIR(mode):
            figures.directories += 1
        else:
            figures.others += 1


def _code_of(error: OSError | ValueError) -> str:
    match error:
        case ValueError():
            return "path too long"
        case FileNotFoundError():
            return "vanished"
        case Replaced():
            return "replaced during the scan"
        case TooLong():
            return "too long without a size"
    return UNREADABLE
