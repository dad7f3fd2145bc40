"""Data to back up are what their names say, and the same for the same seed."""

from __future__ import annotations

import hashlib
import statistics
from pathlib import Path

import pytest
import zstandard

from benchmarks.data.changed_tree import change_tree
from benchmarks.data.disk_image import change_image, shift_image, write_image
from benchmarks.data.random_file import write_random_file
from benchmarks.data.share import copy_share
from benchmarks.data.small_files import write_small_files

MIB = 1 << 20


def digest(root: Path) -> str:
    paths = [root] if root.is_file() else sorted(path for path in root.rglob("*") if path.is_file())
    return hashlib.sha256(b"".join(hashlib.sha256(path.read_bytes()).digest() for path in paths)).hexdigest()


def test_the_same_seed_is_the_same_data(tmp_path: Path) -> None:
    for number, seed in enumerate((5, 5, 6)):
        write_random_file(tmp_path / f"random-{number}", 2 * MIB + 3, seed)
        write_image(tmp_path / f"image-{number}", 3 * MIB, seed)
        write_small_files(tmp_path / f"tree-{number}", 30, seed)
    for kind in ("random", "image", "tree"):
        first, second, other = (digest(tmp_path / f"{kind}-{number}") for number in range(3))
        assert first == second
        assert first != other
    assert (tmp_path / "random-0").stat().st_size == 2 * MIB + 3


def test_two_fifths_of_an_image_are_left_to_store(tmp_path: Path) -> None:
    """By one compressor with a window of all of it, which finds repeats as deduplication would."""
    write_image(tmp_path / "image", 64 * MIB, 7)
    content = (tmp_path / "image").read_bytes()
    assert len(content) == 64 * MIB
    parameters = zstandard.ZstdCompressionParameters.from_level(3, window_log=26, enable_ldm=True)
    stored = len(zstandard.ZstdCompressor(compression_params=parameters).compress(content))
    assert 0.3 < stored / len(content) < 0.5


def test_one_hundredth_of_an_image_changes_in_runs(tmp_path: Path) -> None:
    write_image(tmp_path / "image", 16 * MIB, 7)
    before = (tmp_path / "image").read_bytes()
    change_image(tmp_path / "image", 8)
    after = (tmp_path / "image").read_bytes()
    assert len(before) == len(after)
    run = 64 << 10
    changed = [
        start for start in range(0, len(before), run) if before[start : start + run] != after[start : start + run]
    ]
    assert len(changed) == 16 * MIB // run // 100


def test_a_shifted_image_has_a_mebibyte_more_in_front(tmp_path: Path) -> None:
    write_image(tmp_path / "image", 3 * MIB, 7)
    before = (tmp_path / "image").read_bytes()
    shift_image(tmp_path / "image", 8)
    after = (tmp_path / "image").read_bytes()
    assert len(after) == 4 * MIB
    assert after[MIB:] == before


def test_small_files_have_their_sizes(tmp_path: Path) -> None:
    """The logarithms of sizes: mean log(4096) = 8.32, deviation 1.5."""
    write_small_files(tmp_path, 2_000, 9)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) == 2_000
    assert len({path.parent for path in files}) == 1_000
    assert 3_500 < statistics.median(path.stat().st_size for path in files) < 4_800
    assert all(path.stat().st_mtime < 1_800_000_000 for path in files)


def test_one_hundredth_of_a_tree_changes(tmp_path: Path) -> None:
    write_small_files(tmp_path, 500, 9)
    files = sorted(path for path in tmp_path.rglob("*") if path.is_file())
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in files}
    change_tree(tmp_path, 10, 1)
    changed = [path for path in files if path.read_bytes() != before[path][0]]
    assert len(changed) == 5
    assert all(path.stat().st_mtime_ns > before[path][1] for path in changed)


def test_a_copy_of_a_tree_ends_at_its_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_small_files(tmp_path / "tree", 50, 9)
    monkeypatch.setattr("benchmarks.data.share.TREE", tmp_path / "tree")
    copy_share(tmp_path / "all", 1_000)
    assert digest(tmp_path / "all") == digest(tmp_path / "tree")
    copy_share(tmp_path / "some", 20)
    assert len([path for path in (tmp_path / "some").rglob("*") if path.is_file()]) == 20
