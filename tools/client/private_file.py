"""Files that hold a secret: for their owner only, whole or not there, and on disk before anybody relies on them."""

import os
import stat
import tempfile
from pathlib import Path

from tools.client.failure import Failure


def read_private(path: Path, bytes_max: int) -> bytes:
    """FileNotFoundError where there is none; refused when other users may open it."""
    try:
        with path.open("rb") as handle:
            mode = os.fstat(handle.fileno()).st_mode
            data = handle.read(bytes_max)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise Failure("usage", f"{path} cannot be read: {error.strerror}", "") from None
    if stat.S_IMODE(mode) & 0o077:
        raise Failure(
            "not_allowed",
            f"{path} holds a secret and other users may open it (mode {stat.S_IMODE(mode):04o})",
            f"run: chmod 600 {path}",
        )
    return data


def replace_private(path: Path, data: bytes) -> None:
    """Replaces the file, or makes it; a crash leaves the old or the new one."""
    written = _write_beside(path, data)
    os.replace(written, path)
    _sync_directory(path.parent)


def create_private(path: Path, data: bytes) -> None:
    """FileExistsError where there is one already, also when two try at once."""
    written = _write_beside(path, data)
    try:
        os.link(written, path)
    finally:
        written.unlink()
    _sync_directory(path.parent)


def _write_beside(path: Path, data: bytes) -> Path:
    """A synced temporary file in the same directory, mode 0600 from the start."""
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as handle:
            handle.write(data)
            handle.flush()
            os.fsync(handle.fileno())
    except BaseException:
        os.unlink(name)
        raise
    return Path(name)


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
