"""The lock file of an LMDB environment: a map that LMDB writes to, where a full disk is a signal and no error.

Every block of it is written before LMDB opens it, so that no write through the map needs room. (btrfs needs room for
each: there this write fails in its place, with an error.) Only for an environment that no process has open.
"""

import os
from pathlib import Path

NAME = "lock.mdb"
# The table of 256 readers and its head fit twice; LMDB takes the file as large as it is.
_BYTES = 32 * 1024


def write_lock_file(environment: Path) -> None:
    """Raises OSError on a disk that is full; what the file held says nothing any more."""
    if not environment.exists():
        return
    descriptor = os.open(environment / NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.pwrite(descriptor, bytes(_BYTES), 0)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
