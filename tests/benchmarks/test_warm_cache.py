"""What was read before is in the system's cache, whoever had it forgotten."""

import os
import subprocess
from pathlib import Path

import pytest

from benchmarks.warm_cache import warm


def cached_bytes(path: Path) -> int:
    return int(subprocess.run(["fincore", "-nbo", "RES", path], capture_output=True, check=True, text=True).stdout)


@pytest.fixture
def forgotten(tmp_path: Path) -> Path:
    """Files that are on disk and not in the cache."""
    (tmp_path / "below").mkdir()
    for name in ("one", "below/two"):
        with (tmp_path / name).open("wb") as file:
            file.write(os.urandom(3_000_000))
            file.flush()
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    (tmp_path / "link").symlink_to("one")
    os.mkfifo(tmp_path / "fifo")
    return tmp_path


def test_files_below_a_directory_are_cached(forgotten: Path) -> None:
    warm([forgotten])
    assert min(cached_bytes(forgotten / name) for name in ("one", "below/two")) >= 3_000_000


def test_one_file_is_cached(forgotten: Path) -> None:
    warm([forgotten / "one", forgotten / "missing"])
    assert cached_bytes(forgotten / "one") >= 3_000_000
