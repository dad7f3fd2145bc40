"""Waits until everything that was written is on the disks: a target may have others mounted in it."""

import ctypes
import os

_libc = ctypes.CDLL(None, use_errno=True)


class WrittenFileSystems:
    """One open directory of each file system that was written to; for one thread at a time.

    A directory is added before anything is written in it: the kernel tells a descriptor the errors since it was opened.
    """

    def __init__(self) -> None:
        self._held: dict[int, int] = {}

    def add(self, directory: int) -> None:
        device = device_of(directory)
        if device not in self._held:
            self._held[device] = os.dup(directory)

    def sync(self) -> None:
        """Syncs all, even after an error, and lets go of them; the first error is raised then."""
        first: OSError | None = None
        while self._held:
            _, descriptor = self._held.popitem()
            try:
                sync_file_system(descriptor)
            except OSError as error:
                first = first or error
            finally:
                os.close(descriptor)
        if first is not None:
            raise first


def device_of(descriptor: int) -> int:
    return os.fstat(descriptor).st_dev


def sync_file_system(descriptor: int) -> None:
    """OSError when something that was written did not reach the disk."""
    if _libc.syncfs(descriptor) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
