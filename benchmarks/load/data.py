"""What each agent of a fleet backs up: seeded bytes, a part of them the same at all agents."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

FILE_BYTES_MAX = 4 << 20


def write_data(
    directory: Path, *, agent: int, round_number: int, size_bytes: int, shared_percent: int, seed: int
) -> None:
    """Replaces what `directory` holds with `size_bytes` of random content, in files of up to 4 MiB.

    `shared_percent` of it depends on seed and round only, the rest also on the agent.
    """
    shutil.rmtree(directory, ignore_errors=True)
    shared_bytes = size_bytes * shared_percent // 100
    write_files(directory / "shared", shared_bytes, f"{seed} {round_number}")
    write_files(directory / "own", size_bytes - shared_bytes, f"{seed} {round_number} {agent}")


def write_files(directory: Path, size_bytes: int, seed: str) -> None:
    directory.mkdir(parents=True)
    source = random.Random(seed)
    for number, start in enumerate(range(0, size_bytes, FILE_BYTES_MAX)):
        (directory / f"{number:06}").write_bytes(source.randbytes(min(FILE_BYTES_MAX, size_bytes - start)))
