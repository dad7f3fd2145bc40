"""What a compare of two trees says."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.hour.manifest import compare, manifest_of


@pytest.fixture
def source(tmp_path: Path) -> Path:
    root = tmp_path / "source"
    (root / "dir").mkdir(parents=True)
    (root / "dir" / "first").write_bytes(b"abc")
    (root / "second").write_bytes(b"abc")
    (root / "link").symlink_to("dir/first")
    return root


@pytest.fixture
def back(source: Path, tmp_path: Path) -> Path:
    return shutil.copytree(source, tmp_path / "back", symlinks=True)


def touch_as(path: Path, before: os.stat_result) -> None:
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_a_copy_is_equal(source: Path, back: Path) -> None:
    assert compare(manifest_of(source), manifest_of(back)).is_equal


def test_a_missing_file_is_named(source: Path, back: Path) -> None:
    before = (back / "dir").stat()
    (back / "dir" / "first").unlink()
    touch_as(back / "dir", before)
    compared = compare(manifest_of(source), manifest_of(back))
    assert (compared.missing, compared.different, compared.extra) == (["dir/first"], [], [])


def test_a_byte_that_changed_is_named_whatever_size_and_time_say(source: Path, back: Path) -> None:
    before = (back / "second").stat()
    (back / "second").write_bytes(b"abd")
    touch_as(back / "second", before)
    assert compare(manifest_of(source), manifest_of(back)).different == ["second"]


def test_mode_time_and_link_are_compared(source: Path, back: Path) -> None:
    (back / "second").chmod(0o600)
    os.utime(back / "dir" / "first", ns=(1, 1))
    (back / "link").unlink()
    (back / "link").symlink_to("second")
    (back / "more").touch()
    touch_as(back, source.stat())
    compared = compare(manifest_of(source), manifest_of(back))
    assert (compared.different, compared.extra) == (["dir/first", "link", "second"], ["more"])


def test_a_part_may_lack_files_and_none_of_them_may_differ(source: Path, back: Path) -> None:
    (back / "dir" / "first").unlink()
    assert compare(manifest_of(source), manifest_of(back), is_part=True).is_equal
    (back / "second").write_bytes(b"abd")
    assert compare(manifest_of(source), manifest_of(back), is_part=True).different == ["second"]
