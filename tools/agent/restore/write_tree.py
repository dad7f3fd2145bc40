"""Writes windows below the target: files under a temporary name until they are whole and compared, then renamed.

Invariants: nothing outside the target is touched whatever the manifest says; no half file bears its final name; a file
is compared with its hash before it gets its name, and then gets it whether or not its metadata can be set; what comes
after a file (its directory's metadata, its further names, the word that it is there) waits for it. For one thread at a
time, which leaves the files to the writers' threads.
"""

import errno
import os
from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from tools.agent.missed import Missed
from tools.agent.restore.make_node import NODES, make_name, make_node
from tools.agent.restore.metadata import METADATA_NOT_SET, Rights, apply_metadata, apply_time_and_mode, has_metadata
from tools.agent.restore.open_file import OpenFile
from tools.agent.restore.place import NO_LINKS
from tools.agent.restore.survey import Decision, Overwrite, decide_directory, is_left_above
from tools.agent.restore.target import InTheWay, Leave, Target
from tools.agent.restore.writers import Writers
from tools.agent.safeset.window import Above, Begin, Left, Name, OutOfReach, Part, Window
from tools.agent.system.sync import WrittenFileSystems
from tools.client.failure import Failure
from tools.client.manifest import Entry, Extra, Kind, check_path
from tools.client.record_format import IntegrityError, LaterVersion

DAMAGED = "damaged"
OFFLINE = "offline"  # at the vault: another restore brings it when the disk is back
LATER_VERSION = "made by a later version"
LOST = (DAMAGED, OFFLINE, LATER_VERSION)
NOT_WRITTEN = "not written"
OTHER_METADATA = "exists with other metadata"
NOT_LINKED = "not one file with its other names any more"
_FULL_DISK = (errno.ENOSPC, errno.EDQUOT)
Apply = Callable[[int, Entry, Rights], list[str]]
_UNLINKED_MAX = 100_000
_FILES_MAX = 65_536


class TreeWriter:
    """`unlinked`: paths that could not become further names of a file; they need content of their own, and are told
    when they have it.
    """

    def __init__(self, root: Path, overwrite: Overwrite, hash_key: bytes, missed: Missed, rights: Rights) -> None:
        self.files = 0
        self.bytes = 0
        self.unlinked: list[bytes] = []
        self.takes_no_links = False
        self._apart: set[bytes] = set()
        self._files: OrderedDict[bytes, tuple[int, int]] = OrderedDict()
        self._rights = rights
        self._writers = Writers(self._finish_file, self._take)
        self._target = Target(root, self._leave_made, self._writers.settle)
        self._above: dict[bytes, Entry] = {}
        self._finished_above: dict[bytes, tuple[int, int]] = {}
        self._written = WrittenFileSystems()
        self._parent: bytes | None = None
        self._overwrite = overwrite
        self._hash_key = hash_key
        self._missed = missed
        self._file: OpenFile | None = None

    @property
    def bytes_so_far(self) -> int:
        """With those of the file that is being written. Between windows."""
        return self.bytes + (self._file.written_bytes if self._file is not None else 0)

    def write(self, window: Window) -> None:
        """The chunks of the window are there, or say why not. Nothing of it is under way when this is over."""
        for step in window.steps:
            match step:
                case Above():
                    self._guarded(step.entry, self._take_up, step.entry)
                case Begin():
                    self._guarded(step.entry, self._begin, step.entry)
                case Name():
                    self._guarded(step.entry, self._add_name, step)
                case Left():
                    self._guarded(step.entry, self._keep_left, step)
                case Part():
                    if self._file is not None:
                        self._file.add(step)
                case _:
                    if self._file is not None:
                        file, self._file = self._file, None
                        self._writers.give(file)
        if self._file is not None:
            self._guarded(self._file.entry, self._file.write)
        self._writers.settle()

    def close(self) -> None:
        """Removes a half file and gives directories their times."""
        self._discard()
        for file in self._writers.close():
            self._target.let_go(file.directory)
        self._target.close()

    def sync(self) -> None:
        """Waits until everything that was written is on the disks."""
        try:
            self._written.sync()
        except OSError as error:
            code = "no_space" if error.errno in _FULL_DISK else "failed"
            message = f"some of what was restored did not reach the disk: {error.strerror}"
            raise Failure(code, message, "check the disk and its space, then restore to another directory") from None

    def _guarded(self, entry: Entry, action: Any, *arguments: Any) -> None:
        try:
            action(*arguments)
        except (IntegrityError, OSError) as error:
            self._discard()
            self._tell_failed(entry, error)

    def _tell_failed(self, entry: Entry, error: Exception) -> None:
        """One entry that cannot be written is named and the rest goes on; a full disk ends the restore."""
        match error:
            case IntegrityError():
                code = _code_of(error)
            case InTheWay():
                code = "in the way"
            case FileExistsError():
                code = "exists"
            case OSError(errno=number) if number in _FULL_DISK:
                raise Failure("no_space", "the disk restored to is full", "make room and restore again") from None
            case OSError():
                code = NOT_WRITTEN
            case _:
                raise error
        self._missed.add(entry.path, code)

    def _take_up(self, entry: Entry) -> None:
        """A directory above what is restored. Where one is there that a killed restore has left unfinished, it is
        finished even if nothing below it is missing any more.
        """
        _check(entry.path)
        self._above[entry.path] = entry
        with suppress(OSError):  # which is told with what is below it
            self._target.find(entry.path)

    def _begin(self, entry: Entry) -> None:
        _check(entry.path)
        if entry.kind == Kind.DIRECTORY:
            self._make_directory(entry)
        elif entry.kind in NODES:
            codes = make_node(entry, self._parent_of(entry), self._overwrite, self._rights)
            self._tell_written(entry, codes)
            self._note_left(entry)
        else:
            self._parent_of(entry)
            self._file = OpenFile(entry, self._target.hold(), self._hash_key)

    def _add_name(self, step: Name) -> None:
        """OSError of the link itself: some file systems take none, or no more, and others have another one here."""
        _check(step.entry.path)
        _check(step.first)
        self._await_first(step.first)
        directory = self._parent_of(step.entry)
        try:
            with self._target.opened_place(step.first) as source:
                if self._files.get(step.first) != _file_of(os.fstat(source)):
                    raise FileNotFoundError(step.first)
                make_name(source, step.entry.path.rpartition(b"/")[2], directory, self._overwrite)
        except FileExistsError:
            raise
        except OSError as error:
            if error.errno in _FULL_DISK or len(self.unlinked) >= _UNLINKED_MAX:
                raise
            self.takes_no_links = self.takes_no_links or error.errno in NO_LINKS
            self.unlinked.append(step.entry.path)
            self._apart.add(step.entry.path)
        else:
            self.files += step.entry.kind == Kind.FILE

    def _await_first(self, path: bytes) -> None:
        """It may be one of the files that are being finished."""
        if path not in self._files:
            self._writers.settle()

    def _keep_left(self, step: Left) -> None:
        """Where its first name is another file, written anew maybe, nothing is removed to make them one again."""
        if step.first is None:
            self._note_left(step.entry)
            return
        self._await_first(step.first)
        with suppress(OSError), self._target.opened_place(step.first) as first:
            with self._target.opened_place(step.entry.path) as place:
                if _file_of(os.fstat(first)) != _file_of(os.fstat(place)):
                    self._missed.add(step.entry.path, NOT_LINKED)

    def _note_left(self, entry: Entry) -> None:
        with suppress(OSError), self._target.opened_place(entry.path) as place:
            status = os.fstat(place)
            is_it = status.st_size == entry.size or entry.kind != Kind.FILE
            if is_it and has_metadata(status, entry, self._rights):
                self._note_file(entry, status)

    def _note_file(self, entry: Entry, status: os.stat_result) -> None:
        """Which file is at a path: only that one gets further names, whoever else may write there."""
        if Extra.LINK_SET in (entry.extras or {}):
            self._files[entry.path] = _file_of(status)
            if len(self._files) > _FILES_MAX:
                self._files.popitem(last=False)

    def _tell_written(self, entry: Entry, codes: list[str]) -> None:
        self._tell(entry, [*codes, NOT_LINKED] if entry.path in self._apart else codes)

    def _tell(self, entry: Entry, codes: list[str]) -> None:
        for code in codes:
            self._missed.add(entry.path, code)

    def _parent_of(self, entry: Entry) -> int:
        path = entry.path.rpartition(b"/")[0]
        directory = self._target.make(path)
        if path != self._parent:
            self._written.add(directory)
            self._parent = path
        return directory

    def _make_directory(self, entry: Entry) -> None:
        if not entry.path:
            return
        descriptor, is_new = self._target.make_entry(entry.path)
        self._written.add(descriptor)
        decision = Decision.write if is_new else decide_directory(entry, descriptor, self._overwrite)
        if decision is Decision.write:
            is_as_it_should_be = not is_new and has_metadata(os.fstat(descriptor), entry, self._rights)
            leave = self._leave_as_it_was(entry) if is_as_it_should_be else self._leave(entry)
            self._target.on_leave(entry.path, leave, is_changed=not is_as_it_should_be)
        elif decision is Decision.other_metadata:
            self._missed.add(entry.path, OTHER_METADATA)

    def _leave_made(self, path: bytes, directory: int | None) -> Leave | None:
        """Of one that is there only where this restore, or one that was killed, has made it."""
        entry = self._above.get(path)
        if entry is None:
            return None
        is_own = (
            directory is None
            or is_left_above(entry, directory)
            or self._finished_above.get(path) == _file_of(os.fstat(directory))
        )
        return self._leave_above(entry) if is_own else None

    def _leave(self, entry: Entry) -> Leave:
        return lambda descriptor: self._tell_left(entry, apply_metadata, descriptor)

    def _leave_above(self, entry: Entry) -> Leave:
        def leave(descriptor: int) -> None:
            with suppress(OSError):
                self._finished_above[entry.path] = _file_of(os.fstat(descriptor))
            self._tell_left(entry, apply_metadata, descriptor)

        return leave

    def _leave_as_it_was(self, entry: Entry) -> Leave:
        return lambda descriptor: self._tell_left(entry, apply_time_and_mode, descriptor)

    def _tell_left(self, entry: Entry, apply: Apply, descriptor: int) -> None:
        try:
            codes = apply(descriptor, entry, self._rights)
        except OSError:  # of a file system that does not answer any more
            codes = [METADATA_NOT_SET]
        self._tell(entry, codes)

    def _finish_file(self, file: OpenFile) -> None:
        """In a writer's thread."""
        file.finish(self._overwrite, self._rights)

    def _take(self, files: Sequence[OpenFile]) -> None:
        for file in files:
            self._target.let_go(file.directory)
        for file in files:
            if file.error is not None:
                self._tell_failed(file.entry, file.error)
            elif file.codes is not None:
                self._tell_whole(file, file.codes)
            else:
                self._missed.add(file.entry.path, NOT_WRITTEN)

    def _tell_whole(self, file: OpenFile, codes: list[str]) -> None:
        if file.status is not None:
            self._note_file(file.entry, file.status)
        self._tell_written(file.entry, codes)
        self.files += 1
        self.bytes += file.written_bytes

    def _discard(self) -> None:
        if self._file is not None:
            file, self._file = self._file, None
            file.discard()
            self._target.let_go(file.directory)


def _file_of(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _check(path: bytes) -> None:
    try:
        check_path(path)
    except ValueError as error:
        raise IntegrityError(str(error)) from None


def _code_of(error: IntegrityError) -> str:
    if isinstance(error, OutOfReach):
        return OFFLINE
    return LATER_VERSION if isinstance(error, LaterVersion) else DAMAGED
