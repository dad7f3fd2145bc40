"""The names in one directory in the order of their bytes, whatever their number.

Invariant: at most `in_memory_max` names are held at once. A bigger directory is sorted in runs in one unnamed temporary
file, which are merged while they are read.
"""

import heapq
import io
import itertools
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tools.client.failure import Failure

NAMES_IN_MEMORY_MAX = 16_384
# Read from each run at a time; a directory of a million names has about 60 runs.
_RUN_READ_BYTES = 16 * 1024
# No file name holds it.
_SEPARATOR = b"\0"
_ENCODING = sys.getfilesystemencoding()


def sorted_names(descriptor: int, spool: Path, in_memory_max: int = NAMES_IN_MEMORY_MAX) -> Iterator[bytes]:
    """`descriptor` stays open and is read whole before the first name comes."""
    with os.scandir(descriptor) as listing:
        names = (entry.name.encode(_ENCODING, "surrogateescape") for entry in listing)
        first = sorted(itertools.islice(names, in_memory_max))
        if len(first) < in_memory_max:
            return iter(first)
        return _sorted_on_disk(first, names, spool, in_memory_max)


def _sorted_on_disk(first: list[bytes], names: Iterator[bytes], spool: Path, in_memory_max: int) -> Iterator[bytes]:
    # The file lives as long as the iterators below refer to its descriptor's owner.
    with _on(spool):
        runs_file = tempfile.TemporaryFile(dir=spool, buffering=0)  # noqa: SIM115
    bounds = [0]
    run = first
    try:
        while run:
            run_bytes = _SEPARATOR.join(run) + _SEPARATOR
            with _on(spool):
                _write_all(runs_file.fileno(), run_bytes)
            bounds.append(bounds[-1] + len(run_bytes))
            run = sorted(itertools.islice(names, in_memory_max))
    except BaseException:
        runs_file.close()
        raise
    return _merged(runs_file, bounds, spool)


@contextmanager
def _on(spool: Path) -> Iterator[None]:
    """An error of the spool's disk must not be taken for one of the directory that is listed."""
    try:
        yield
    except OSError as error:
        hint = "check that disk and its room, and run the backup again"
        message = f"{spool}: the names of a big directory could not be sorted there: {error.strerror or error}"
        raise Failure("failed", message, hint) from error


def _write_all(descriptor: int, content: bytes) -> None:
    view = memoryview(content)
    while view:
        view = view[os.write(descriptor, view) :]


def _merged(runs_file: io.FileIO, bounds: list[int], spool: Path) -> Iterator[bytes]:
    with runs_file, _on(spool):
        runs = [_run(runs_file.fileno(), start, end) for start, end in itertools.pairwise(bounds)]
        yield from heapq.merge(*runs)


def _run(descriptor: int, position: int, end: int) -> Iterator[bytes]:
    rest = b""
    while position < end:
        piece = os.pread(descriptor, min(_RUN_READ_BYTES, end - position), position)
        if not piece:
            raise OSError("the temporary file with sorted names became shorter")
        position += len(piece)
        *names, rest = (rest + piece).split(_SEPARATOR)
        yield from names
