"""Writes windows below the target: files under a temporary name until they are whole and compared, then renamed.

Invariants: nothing outside the target is touched whatever the manifest says; no half file bears its final name; a file
is compared with its hash before it gets its name, and then gets it whether or not its metadata can be set. One worker
thread at a time.
"""

import errno
import os
import secrets
from contextlib import suppress
from pathlib import Path
from typing import Any

from blake3 import blake3

from tools.agent.metadata import apply_link_metadata, apply_metadata, has_metadata
from tools.agent.missed import Missed
from tools.agent.place import place
from tools.agent.survey import Decision, Overwrite, decide_directory
from tools.agent.sync import WrittenFileSystems
from tools.agent.target import InTheWay, Leave, Target
from tools.agent.window import Above, Begin, OutOfReach, Part, Window
from tools.client.failure import Failure
from tools.client.manifest import Entry, Extra, Kind, check_path
from tools.client.record_format import IntegrityError, LaterVersion

DAMAGED = "damaged"
OFFLINE = "offline"  # at the vault: another restore brings it when the disk is back
LATER_VERSION = "made by a later version"
LOST = (DAMAGED, OFFLINE, LATER_VERSION)
METADATA_NOT_SET = "metadata not set"
OTHER_METADATA = "exists with other metadata"
_CREATE = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_CLOSED = -1
_FULL_DISK = (errno.ENOSPC, errno.EDQUOT)


class _OpenFile:
    """A file that is being written under its temporary name."""

    __slots__ = ("descriptor", "directory", "entry", "hasher", "name", "temporary", "written_bytes")

    def __init__(self, entry: Entry, directory: int, hash_key: bytes) -> None:
        self.entry = entry
        self.directory = directory
        self.name = entry.path.rpartition(b"/")[2]
        self.temporary = b".safeset-" + secrets.token_hex(8).encode()
        self.descriptor = os.open(self.temporary, _CREATE, 0o600, dir_fd=directory)
        self.hasher: Any = blake3(key=hash_key)
        self.written_bytes = 0

    def write(self, content: memoryview) -> None:
        self.hasher.update(content)
        self.written_bytes += len(content)
        if self.written_bytes > self.entry.size:
            raise IntegrityError("the content is longer than the manifest says")
        while content:
            content = content[os.write(self.descriptor, content) :]

    def is_whole(self) -> bool:
        entry = self.entry
        return self.written_bytes == entry.size and (
            self.hasher.digest() == entry.hash if entry.size else entry.hash is None
        )

    def keep(self, overwrite: Overwrite) -> bool:
        """Is its metadata set? It is closed before it gets its name: closing may tell of lost writes."""
        is_set = apply_metadata(self.descriptor, self.entry)
        self._close()
        place(self.temporary, self.name, self.directory, overwrite)
        return is_set

    def discard(self) -> None:
        with suppress(OSError):
            self._close()
        with suppress(OSError):
            os.unlink(self.temporary, dir_fd=self.directory)

    def _close(self) -> None:
        if self.descriptor != _CLOSED:
            descriptor, self.descriptor = self.descriptor, _CLOSED
            os.close(descriptor)


class TreeWriter:
    def __init__(self, root: Path, overwrite: Overwrite, hash_key: bytes, missed: Missed) -> None:
        self.files = 0
        self.bytes = 0
        self._target = Target(root, self._leave_made)
        self._above: dict[bytes, Entry] = {}
        self._written = WrittenFileSystems()
        self._overwrite = overwrite
        self._hash_key = hash_key
        self._missed = missed
        self._file: _OpenFile | None = None

    @property
    def bytes_so_far(self) -> int:
        """With those of the file that is being written."""
        return self.bytes + (self._file.written_bytes if self._file is not None else 0)

    def write(self, window: Window) -> None:
        """The chunks of the window are there, or say why not."""
        for step in window.steps:
            match step:
                case Above():
                    self._above[step.entry.path] = step.entry
                case Begin():
                    self._guarded(step.entry, self._begin, step.entry)
                case Part():
                    if self._file is not None:
                        self._guarded(self._file.entry, self._append, self._file, step)
                case _:
                    if self._file is not None:
                        self._guarded(self._file.entry, self._end, self._file)

    def close(self) -> None:
        """Removes a half file and gives directories their times."""
        self._discard()
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
        """One entry that cannot be written is named and the rest goes on; a full disk ends the restore."""
        try:
            action(*arguments)
        except IntegrityError as error:
            self._discard()
            self._missed.add(entry.path, _code_of(error))
        except InTheWay:
            self._discard()
            self._missed.add(entry.path, "in the way")
        except FileExistsError:
            self._discard()
            self._missed.add(entry.path, "exists")
        except OSError as error:
            self._discard()
            if error.errno in _FULL_DISK:
                raise Failure("no_space", "the disk restored to is full", "make room and restore again") from None
            self._missed.add(entry.path, "not written")

    def _begin(self, entry: Entry) -> None:
        try:
            check_path(entry.path)
        except ValueError as error:
            raise IntegrityError(str(error)) from None
        if entry.kind == Kind.DIRECTORY:
            self._make_directory(entry)
        elif entry.kind == Kind.SYMBOLIC_LINK:
            self._make_link(entry)
        else:
            self._file = _OpenFile(entry, self._parent_of(entry), self._hash_key)

    def _parent_of(self, entry: Entry) -> int:
        directory = self._target.make(entry.path.rpartition(b"/")[0])
        self._written.add(directory)
        return directory

    def _make_directory(self, entry: Entry) -> None:
        if not entry.path:
            return
        descriptor, is_new = self._target.make_entry(entry.path)
        self._written.add(descriptor)
        decision = Decision.write if is_new else decide_directory(entry, os.fstat(descriptor), self._overwrite)
        if decision is Decision.write:
            self._target.on_leave(entry.path, self._leave(entry))
        elif decision is Decision.other_metadata:
            self._missed.add(entry.path, OTHER_METADATA)

    def _leave_made(self, path: bytes) -> Leave | None:
        entry = self._above.get(path)
        return None if entry is None else self._leave(entry)

    def _leave(self, entry: Entry) -> Leave:
        def leave(descriptor: int) -> None:
            if not has_metadata(os.fstat(descriptor), entry) and not apply_metadata(descriptor, entry):
                self._missed.add(entry.path, METADATA_NOT_SET)

        return leave

    def _make_link(self, entry: Entry) -> None:
        directory = self._parent_of(entry)
        target = (entry.extras or {}).get(Extra.LINK_TARGET)
        if not target or b"\0" in target:
            raise IntegrityError("the link has no target")
        temporary = b".safeset-" + secrets.token_hex(8).encode()
        os.symlink(target, temporary, dir_fd=directory)
        try:
            is_set = apply_link_metadata(temporary, directory, entry)
            place(temporary, entry.path.rpartition(b"/")[2], directory, self._overwrite)
        except OSError:
            with suppress(OSError):
                os.unlink(temporary, dir_fd=directory)
            raise
        if not is_set:
            self._missed.add(entry.path, METADATA_NOT_SET)

    def _append(self, file: _OpenFile, part: Part) -> None:
        content = part.slot.content
        if isinstance(content, IntegrityError):
            raise content
        if content is None or part.offset + part.length > len(content):
            raise IntegrityError("an extent goes beyond the end of its chunk")
        file.write(memoryview(content)[part.offset : part.offset + part.length])

    def _end(self, file: _OpenFile) -> None:
        if not file.is_whole():
            raise IntegrityError("the content is not what the manifest says")
        is_set = file.keep(self._overwrite)
        self._file = None
        if not is_set:
            self._missed.add(file.entry.path, METADATA_NOT_SET)
        self.files += 1
        self.bytes += file.written_bytes

    def _discard(self) -> None:
        if self._file is not None:
            file, self._file = self._file, None
            file.discard()


def _code_of(error: IntegrityError) -> str:
    if isinstance(error, OutOfReach):
        return OFFLINE
    return LATER_VERSION if isinstance(error, LaterVersion) else DAMAGED
