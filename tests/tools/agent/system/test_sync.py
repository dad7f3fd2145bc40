"""Waiting for the disks: an error of the kernel is never lost."""

import errno
import os
from pathlib import Path

import pytest

from tools.agent.system import sync
from tools.agent.system.sync import sync_file_system


def test_the_whole_file_system_is_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[int] = []

    class Library:
        def syncfs(self, descriptor: int) -> int:
            called.append(descriptor)
            return real.syncfs(descriptor)

    real = sync._libc
    monkeypatch.setattr(sync, "_libc", Library())
    (tmp_path / "file").write_bytes(b"content")
    descriptor = os.open(tmp_path, os.O_RDONLY)
    try:
        sync_file_system(descriptor)
    finally:
        os.close(descriptor)
    assert called == [descriptor]


def test_an_error_of_the_kernel_is_told(tmp_path: Path) -> None:
    """The error that needs no broken disk: syncfs refuses a descriptor that is not open."""
    descriptor = os.open(tmp_path, os.O_RDONLY)
    os.close(descriptor)
    with pytest.raises(OSError, match="Bad file descriptor") as caught:
        sync_file_system(descriptor)
    assert caught.value.errno == errno.EBADF
