"""From the disk to batches: walks, compares with the cache, reads and cuts what is new.

The walk and the cache's rows come in the same order and are merged as they go: no look-up for each path but those of
files with more names. All of it runs in one thread at a time, called again and again for the next batch.
"""

import errno
import os
import stat
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from tools.agent.cache.cache import Cache
from tools.agent.chunks.extent_list import held_bytes
from tools.agent.hit_files import HitFiles
from tools.agent.missed import Missed
from tools.agent.scan.batch import Batch
from tools.agent.scan.content import ATTEMPTS_MAX, Replaced, TooLong, open_found
from tools.agent.scan.fingerprint import NEVER_THE_SAME, Fingerprint, fingerprint_of, held_time, signed_inode
from tools.agent.scan.link_sets import LinkSets, has_more_names
from tools.agent.scan.outbox import Outbox
from tools.agent.scan.read_file import Content, FileReader
from tools.agent.scan.remake import Remake
from tools.agent.scan.row_maker import KINDS, RowMaker
from tools.agent.scan.scan_figures import ScanFigures
from tools.agent.scan.walk import Found, TreeWalk
from tools.agent.state import Expected
from tools.agent.system.attributes import attribute_bytes, place_of, read_attributes
from tools.agent.system.holes import may_have_holes
from tools.agent.system.kernel_mounts import UNSTEADY_TYPES, mounted_devices
from tools.client.chunker import CUT_FROM_BYTES, FileCutter
from tools.client.manifest import (
    FLAG_BELOW_UNKNOWN,
    FLAG_CHANGED_WHILE_READ,
    FLAG_NOT_READ,
    Extra,
    Kind,
)

UNREADABLE = "unreadable"
_DEVICES = (Kind.CHARACTER_DEVICE, Kind.BLOCK_DEVICE)


@dataclass(frozen=True, slots=True)
class ScanKeys:
    hash_key: bytes
    link_key: bytes
    chunker_seed: bytes


class _Read(NamedTuple):
    """What all names of a file share."""

    content: Content
    extras: dict[int, Any]
    begin_ns: int  # what was young then may have changed since without its times changing
    is_whole: bool  # its attributes are all here


class Scanner:
    """`directory` is the agent's own: lists of large files wait there."""

    def __init__(
        self,
        walk: TreeWalk,
        cache: Cache,
        keys: ScanKeys,
        missed: Missed,
        directory: Path,
        hit: HitFiles | None = None,
    ) -> None:
        self.figures = ScanFigures()
        self._walk = walk
        self._cache = cache
        self._missed = missed
        self._hit = hit or HitFiles()
        self._rows = RowMaker()
        self._links: LinkSets[_Read] = LinkSets(keys.link_key)
        self._unsteady: dict[int, bool] = {}
        self._outbox = Outbox()
        cutter = FileCutter(keys.chunker_seed)
        self._reader = FileReader(cache, keys.hash_key, cutter, self._outbox, self.figures, directory)
        self._remake = Remake(cache, self._reader, self.figures, keys.link_key)
        self._steps = self._scan()

    def next_batch(self) -> Batch | None:
        """None after the last one."""
        batch = self._outbox.begin_batch()
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
        for found, begin_ns in self._found():
            is_known = False
            key = found[0].replace(b"/", b"\0")
            while known is not None and known[0] < key:
                self._outbox.batch.gone.append(known[0])
                known = next(all_known, None)
                if self._outbox.batch.is_full:
                    yield True
            if known is not None and known[0] == key:
                is_known = True
                status = found[1]
                inode = signed_inode(status.st_ino)
                is_unchanged = known[1:] == (status.st_size, status.st_mtime_ns, status.st_ctime_ns, inode)
                known = next(all_known, None)
                if is_unchanged and not found[4] and (status.st_nlink == 1 or self._is_linked_as_known(key, status)):
                    row = (yield from self._remake.row(found)) if self._remake.wants(key) else key
                    if row is not None:
                        self.figures.count(status, status.st_size)
                        if self._outbox.add_row(row):
                            yield True
                        continue
            if not (yield from self._take_new(found, begin_ns)) and is_known:
                self._outbox.batch.gone.append(key)
            if self._outbox.batch.is_full:
                yield True
        while known is not None:
            self._outbox.batch.gone.append(known[0])
            known = next(all_known, None)
            if self._outbox.batch.is_full:
                yield True
        self._outbox.end_bundle()
        self.figures.kernel_mounts = self._walk.kernel_mounts_left

    def _found(self) -> Iterator[tuple[Found, int]]:
        """With the time before it was looked at: the status of a directory is older than the list of its names."""
        walk = iter(self._walk)
        while True:
            begin_ns = time.time_ns()
            if (found := next(walk, None)) is None:
                return
            yield found, begin_ns

    def _is_linked_as_known(self, key: bytes, status: os.stat_result) -> bool:
        """Whether the base says of the file's names what is so in this run: its device may have another number now."""
        return not has_more_names(status) or self._cache.has_extras(key, self._links.extras_of(status))

    def _take_new(self, found: Found, begin_ns: int) -> Generator[bool, None, bool]:
        """Whether it has a row now; where not, what the base says of the path must not be said again."""
        kind = KINDS.get(stat.S_IFMT(found.status.st_mode))
        if kind is None:
            self._missed.add(found.path, "kind not stored")
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
        self._outbox.add_row(row)
        return True

    def _take_other(self, found: Found, kind: Kind, begin_ns: int) -> None:
        status = found.status
        fingerprint = self._fingerprint_of(status, begin_ns)
        extras: dict[int, Any] = {}
        if kind is Kind.SYMBOLIC_LINK:
            extras[Extra.LINK_TARGET] = os.fsencode(os.readlink(found.name, dir_fd=found.directory))
        elif kind in _DEVICES:
            extras[Extra.DEVICE] = [os.major(status.st_rdev), os.minor(status.st_rdev)]
        elif found.is_unlisted:
            extras[Extra.FLAGS], fingerprint = FLAG_BELOW_UNKNOWN, NEVER_THE_SAME
        extras |= self._links.extras_of(status)
        attributes, is_whole = self._attributes_of(place_of(found.directory, found.name, found.path), found.path)
        extras |= attributes
        if not is_whole:
            fingerprint = NEVER_THE_SAME
        self._outbox.add_row(self._rows.other(found.path, status, fingerprint, extras))
        self._tell_far_time(found.path, status)
        self.figures.count(status, 0)

    def _attributes_of(self, place: int | bytes, path: bytes) -> tuple[dict[int, Any], bool]:
        """And whether they are all there: else the next run tries again, and tells again."""
        attributes, left_out = read_attributes(place)
        if left_out is not None:
            self._missed.add(path, f"extended attributes {left_out}")
        return {int(Extra.ATTRIBUTES): attributes} if attributes else {}, left_out is None

    def _tell_far_time(self, path: bytes, status: os.stat_result) -> None:
        if held_time(status.st_mtime_ns) != status.st_mtime_ns:
            self._missed.add(path, "time out of range")

    def _take_file(self, found: Found, begin_ns: int) -> Generator[bool, None, None]:
        read = self._links.find(found.status) if found.status.st_nlink > 1 else None
        if read is None:
            read = yield from self._read_again_and_again(found, begin_ns)
        content, extras = read.content, read.extras | self._links.extras_of(read.content.status)
        status = content.status
        # The status of a sizeless file says nothing of its content.
        is_certain = not content.is_changed and read.is_whole and content.size_bytes == status.st_size
        fingerprint = self._fingerprint_of(status, read.begin_ns) if is_certain else NEVER_THE_SAME
        self._outbox.add_row(
            self._rows.file(found.path, status, content.size_bytes, content.hash, content.extents, fingerprint, extras)
        )
        self._hit.met(found.path, content.hash)
        self._tell_far_time(found.path, status)
        self.figures.count(status, content.size_bytes)

    def _read_again_and_again(self, found: Found, begin_ns: int) -> Generator[bool, None, _Read]:
        """A disk or a server that fails may give the file a moment later."""
        for attempt in range(1, ATTEMPTS_MAX + 1):
            try:
                return (yield from self._read(found, begin_ns))
            except OSError as error:
                if error.errno != errno.EIO or attempt == ATTEMPTS_MAX:
                    raise
        raise AssertionError("the last attempt answers or raises")

    def _read(self, found: Found, begin_ns: int) -> Generator[bool, None, _Read]:
        descriptor, status = open_found(found)
        try:
            if 0 < status.st_size < CUT_FROM_BYTES and not may_have_holes(status):
                content = self._reader.read_small(descriptor, status)
            else:
                content = yield from self._reader.read(descriptor, status)
            extras, is_whole = self._attributes_of(descriptor, found.path)
        finally:
            os.close(descriptor)
        if content.holes:
            extras[Extra.HOLES] = [number for hole in content.holes for number in hole]
        if content.is_changed:
            self._missed.add(found.path, "changed while it was read")
            extras[Extra.FLAGS] = FLAG_CHANGED_WHILE_READ
        read = _Read(content, extras, begin_ns, is_whole)
        if not content.is_changed:
            self._links.note(content.status, read, held_bytes(content.extents) + attribute_bytes(extras))
        return read

    def _fingerprint_of(self, status: os.stat_result, begin_ns: int) -> Fingerprint:
        device = status.st_dev
        if device not in self._unsteady:  # looked up when it is met: a file system may be mounted on demand
            self._unsteady[device] = device in mounted_devices(UNSTEADY_TYPES)
        return NEVER_THE_SAME if self._unsteady[device] else fingerprint_of(status, begin_ns)


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
