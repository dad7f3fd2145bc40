"""Makes links, FIFOs, sockets, devices and further names of files: under a temporary name, then under their own."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from tools.agent.file_kinds import KINDS
from tools.agent.restore.metadata import Rights, apply_node_metadata
from tools.agent.restore.place import place, place_nameless
from tools.agent.restore.survey import Overwrite
from tools.agent.restore.temporary_name import temporary_name
from tools.client.manifest import Entry, Extra, Kind
from tools.client.record_format import IntegrityError

_TYPES = {
    Kind.FIFO: stat.S_IFIFO,
    Kind.SOCKET: stat.S_IFSOCK,
    Kind.CHARACTER_DEVICE: stat.S_IFCHR,
    Kind.BLOCK_DEVICE: stat.S_IFBLK,
}
DEVICES = (Kind.CHARACTER_DEVICE, Kind.BLOCK_DEVICE)
NODES = (Kind.SYMBOLIC_LINK, *_TYPES)


def make_node(entry: Entry, directory: int, overwrite: Overwrite, rights: Rights) -> list[str]:
    """What of its metadata was not set."""
    temporary = temporary_name()
    _make(temporary, entry, directory)
    with _removed_on_failure(temporary, directory):
        codes = _apply_metadata(temporary, entry, directory, rights)
        place(temporary, entry.path.rpartition(b"/")[2], directory, overwrite)
    return codes


def make_name(source: int, name: bytes, directory: int, overwrite: Overwrite) -> None:
    """One more name for the file that `source` is a descriptor of, maybe of its place only; OSError where the file
    system takes none.
    """
    place_nameless(source, name, directory, overwrite)


def _apply_metadata(temporary: bytes, entry: Entry, directory: int, rights: Rights) -> list[str]:
    """Of just what was made: whoever may write into the directory could put something else of that name there."""
    descriptor = os.open(temporary, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
    try:
        status = os.fstat(descriptor)
        is_ours = KINDS.get(stat.S_IFMT(status.st_mode)) == entry.kind and status.st_uid == os.geteuid()
        if not is_ours or status.st_nlink != 1:
            raise FileExistsError(temporary)
        return apply_node_metadata(descriptor, entry, rights)
    finally:
        os.close(descriptor)


@contextmanager
def _removed_on_failure(temporary: bytes, directory: int) -> Iterator[None]:
    try:
        yield
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary, dir_fd=directory)
        raise


def _make(temporary: bytes, entry: Entry, directory: int) -> None:
    extras = entry.extras or {}
    if entry.kind == Kind.SYMBOLIC_LINK:
        target = extras.get(Extra.LINK_TARGET)
        if not target or b"\0" in target:
            raise IntegrityError("the link has no target")
        os.symlink(target, temporary, dir_fd=directory)
        return
    device = 0
    if entry.kind in DEVICES:
        if Extra.DEVICE not in extras:
            raise IntegrityError("the device has no numbers")
        try:
            device = os.makedev(*extras[Extra.DEVICE])
        except OverflowError:
            raise IntegrityError("the device has numbers that this system has no room for") from None
    os.mknod(temporary, _TYPES[Kind(entry.kind)] | 0o600, device, dir_fd=directory)
