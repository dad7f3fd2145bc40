"""Errors of the real file system name the file, also of calls on a descriptor: who has to make room must know where."""

import errno
from collections.abc import Callable
from pathlib import Path

import pytest

from vaultd.store.disk_door import Handle, SystemDoor, write_file

FULL = Path("/dev/full")

CALLS: dict[str, tuple[Callable[[SystemDoor, Handle], object], int]] = {
    "pwrite": (lambda door, handle: door.pwrite(handle, b"bytes", 0), errno.ENOSPC),
    "fdatasync": (lambda door, handle: door.fdatasync(handle), errno.EINVAL),
    "truncate": (lambda door, handle: door.truncate(handle, 10), errno.EINVAL),
}


@pytest.mark.parametrize("name", CALLS)
def test_an_error_names_the_file(name: str) -> None:
    call, number = CALLS[name]
    door = SystemDoor()
    handle = door.open_write(FULL)
    with pytest.raises(OSError, match=f"'{FULL}'") as caught:
        call(door, handle)
    door.close(handle)
    assert caught.value.errno == number


def test_an_error_of_a_read_names_the_file(tmp_path: Path) -> None:
    door = SystemDoor()
    handle = door.open_read(tmp_path)
    with pytest.raises(IsADirectoryError, match=f"'{tmp_path}'"):
        door.read(handle, 0, 10)
    door.close(handle)


def test_a_small_file_that_cannot_be_written_leaves_what_was_there_and_nothing_else(tmp_path: Path) -> None:
    class FullDoor(SystemDoor):
        def fdatasync(self, handle: Handle) -> None:
            raise OSError(errno.ENOSPC, "No space left on device", str(handle.path))

    path = tmp_path / "file"
    path.write_bytes(b"before")
    with pytest.raises(OSError, match="No space left"):
        write_file(FullDoor(), path, b"after")
    assert [(one.name, one.read_bytes()) for one in tmp_path.iterdir()] == [("file", b"before")]
