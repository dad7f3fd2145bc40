"""Names of what is being restored and has no final name yet."""

import os
import re
import secrets
from contextlib import suppress

_PATTERN = re.compile(r"\.safeset-[0-9a-f]{16}")


def temporary_name() -> bytes:
    return b".safeset-" + secrets.token_hex(8).encode()


def remove_temporary(directory: int) -> None:
    """What a restore that was killed has left in a directory that is its own."""
    with os.scandir(directory) as found:
        names = [entry.name for entry in found if _PATTERN.fullmatch(entry.name)]
    for name in names:
        with suppress(OSError):  # a directory is none of them
            os.unlink(name, dir_fd=directory)
