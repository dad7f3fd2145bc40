"""Reading files into the system's cache, so that no tool pays for what the one before did to it.

borg has the system forget what it read; a vault of ours writes its containers past the cache, where what peers store
stays in it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

READ_BYTES = 1 << 20


def warm(paths: Iterable[Path]) -> None:
    """Every file that is or lies below one of them; what vanishes meanwhile is nobody's."""
    buffer = bytearray(READ_BYTES)
    for path in paths:
        for file in _files(path):
            try:
                descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
            except OSError:
                continue
            try:
                while os.readv(descriptor, [buffer]) == READ_BYTES:
                    pass
            finally:
                os.close(descriptor)


def _files(path: Path) -> Iterator[str]:
    if path.is_file():
        yield str(path)
    for directory, _, names in os.walk(path):
        for name in names:
            file = os.path.join(directory, name)
            if os.path.isfile(file) and not os.path.islink(file):
                yield file
