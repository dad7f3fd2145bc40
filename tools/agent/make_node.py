"""Makes links, FIFOs, sockets, devices and further names of files: under a temporary name, then under their own."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from tools.agent.metadata import Rights, apply_node_metadata
from tools.agent.place import place, temporary_name
from tools.agent.survey import Overwrite
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
        codes = apply_node_metadata(temporary, directory, entry, rights)
        place(temporary, entry.path.rpartition(b"/")[2], directory, overwrite)
    return codes


def make_name(source: tuple[bytes, int], name: bytes, directory: int, overwrite: Overwrite) -> None:
    """One more name for the file that is `source` (name, directory); OSError where the file system takes none."""
    temporary = temporary_name()
    os.link(source[0], temporary, src_dir_fd=source[1], dst_dir_fd=directory, follow_symlinks=False)
    with _removed_on_failure(temporary, directory):
        place(temporary, name, directory, overwrite)
        with suppress(FileNotFoundError):  # it stays where the name is already one of the same file
            os.unlink(temporary, dir_fd=directory)


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
        device = os.makedev(*extras[Extra.DEVICE])
    os.mknod(temporary, _TYPES[Kind(entry.kind)] | 0o600, device, dir_fd=directory)
