"""Batches: order, what waits for a bundle, what a second scan finds."""

import os
import random
import sqlite3
import struct
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.support.trees import make_old
from tests.tools.agent.conftest import Site
from tools.agent.cache.belonging import Belonging
from tools.agent.cache.cache import Cache
from tools.agent.missed import Missed
from tools.agent.scan import batch as batch_module
from tools.agent.scan import content as content_module
from tools.agent.scan import fingerprint as fingerprint_module
from tools.agent.scan import outbox, read_file
from tools.agent.scan import scan as scan_module
from tools.agent.scan import walk as walk_module
from tools.agent.scan.batch import Batch, ScanRow
from tools.agent.scan.scan import ScanKeys, Scanner
from tools.agent.scan.walk import TreeWalk
from tools.agent.selection import make_selection

KEYS = ScanKeys(b"h" * 32, b"l" * 32, b"seedseed")


def scanner(root: Path, tmp_path: Path) -> Scanner:
    walk = TreeWalk(make_selection([bytes(root)], [], False, None), tmp_path, pytest.fail)
    cache = Cache(tmp_path / "cache", Belonging(b"k" * 16, 1, b"m" * 16, b"j" * 16, 1))
    return Scanner(walk, cache, KEYS, Missed(), tmp_path)


def batches(scanning: Scanner) -> list[Batch]:
    found = []
    while (batch := scanning.next_batch()) is not None:
        found.append(batch)
    return found


def test_chunks_come_no_later_than_the_rows_that_name_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "WAITING_ROWS_MAX", 10)
    monkeypatch.setattr(batch_module, "BATCH_ROWS", 7)
    root = tmp_path / "tree"
    root.mkdir()
    for number in range(200):
        (root / f"{number:03}").write_bytes(b"%d" % number * (number % 50))
    (root / "100a-large").write_bytes(bytes(range(256)) * 20_000)
    delivered: dict[bytes, bytes] = {}
    paths, contents = [], {}
    for batch in batches(scanner(root, tmp_path)):
        for chunk in batch.chunks:
            chunk.id = os.urandom(32)
            delivered[chunk.id] = chunk.content
        assert len(batch.rows) <= 7 + 10 + 1
        for row in batch.rows:
            assert isinstance(row, ScanRow)
            pieces = []
            packed = b"".join(row.extent_parts())
            for start in range(0, len(packed), 40):
                offset, length = struct.unpack("<II", packed[start + 32 : start + 40])
                pieces.append(delivered[packed[start : start + 32]][offset : offset + length])
            paths.append(row.path)
            contents[row.path] = b"".join(pieces)
    assert paths == sorted(paths, key=lambda path: path.split(b"/"))
    expected = {bytes(path)[1:]: path.read_bytes() for path in root.iterdir()}
    assert {path: content for path, content in contents.items() if path in expected} == expected


def test_protected_bytes_grow_while_a_large_file_is_read(tmp_path: Path) -> None:
    root = tmp_path / "tree"
    root.mkdir()
    (root / "a").write_bytes(b"12345")
    (root / "large").write_bytes(random.Random(1).randbytes(40 << 20))
    scanning = scanner(root, tmp_path)
    seen = []
    while scanning.next_batch() is not None:
        seen.append(scanning.figures.protected_bytes)
    assert len(seen) >= 4
    assert all(before < after for before, after in pairwise(seen[:4]))
    assert seen[-1] == scanning.figures.protected_bytes == 5 + (40 << 20)


def test_a_large_file_that_fails_midway_is_not_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "tree"
    root.mkdir()
    (root / "large").write_bytes(random.Random(1).randbytes(20 << 20))
    readings = [0]
    real = os.readv

    def readv(*arguments: Any) -> int:
        readings[0] += 1
        if readings[0] > 2:
            raise OSError(5, "Input/output error")
        return real(*arguments)

    monkeypatch.setattr(content_module.os, "readv", readv)
    scanning = scanner(root, tmp_path)
    batches(scanning)
    assert (scanning.figures.files, scanning.figures.protected_bytes) == (0, 0)


def test_protected_bytes_count_hard_links_once(tmp_path: Path) -> None:
    root = tmp_path / "tree"
    root.mkdir()
    (root / "a").write_bytes(b"12345")
    for name in ("b", "c"):
        (root / name).hardlink_to(root / "a")
    (root / "d").write_bytes(b"1")
    scanning = scanner(root, tmp_path)
    batches(scanning)
    assert (scanning.figures.files, scanning.figures.protected_bytes) == (4, 6)


def test_the_clock_is_read_before_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that was young when its reading began stays so, however long the reading takes."""
    root = tmp_path / "tree"
    root.mkdir()
    (root / "file").write_bytes(b"1")
    clock = [(root / "file").stat().st_ctime_ns + 1_000_000]
    real = read_file.read_small

    def read_slowly(*arguments: Any) -> Any:
        clock[0] += 60_000_000_000
        return real(*arguments)

    monkeypatch.setattr(scan_module.time, "time_ns", lambda: clock[0])
    monkeypatch.setattr(read_file, "read_small", read_slowly)
    (row,) = [row for batch in batches(scanner(root, tmp_path)) for row in batch.rows][-1:]
    assert isinstance(row, ScanRow)
    assert row.fingerprint.inode == 0


def test_the_clock_is_read_before_the_status_of_a_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its names are listed behind its status: what changes in between may have the change time that was seen."""
    root = tmp_path / "tree"
    (root / "below").mkdir(parents=True)
    clock = [(root / "below").stat().st_ctime_ns + 1_000_000]
    real = walk_module.sorted_names

    def list_slowly(*arguments: Any) -> Any:
        clock[0] += 60_000_000_000
        return real(*arguments)

    monkeypatch.setattr(scan_module.time, "time_ns", lambda: clock[0])
    monkeypatch.setattr(walk_module, "sorted_names", list_slowly)
    rows = [row for batch in batches(scanner(root / "below", tmp_path)) for row in batch.rows]
    (row,) = [row for row in rows if isinstance(row, ScanRow) and row.path.endswith(b"below")]
    assert row.fingerprint.inode == 0


def test_a_file_that_was_just_written_is_not_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "tree"
    root.mkdir()
    (root / "file").write_bytes(b"1")
    now = (root / "file").stat().st_ctime_ns
    monkeypatch.setattr(scan_module.time, "time_ns", lambda: now + 59_000_000_000)
    (young,) = [row for batch in batches(scanner(root, tmp_path)) for row in batch.rows][-1:]
    monkeypatch.setattr(scan_module.time, "time_ns", lambda: now + 61_000_000_000)
    (old,) = [row for batch in batches(scanner(root, tmp_path)) for row in batch.rows][-1:]
    assert isinstance(young, ScanRow)
    assert isinstance(old, ScanRow)
    assert (young.fingerprint.inode, old.fingerprint.inode) == (0, (root / "file").stat().st_ino)


async def test_where_change_times_say_nothing_every_run_reads(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another image is mounted under the same path, with the same inodes and times."""
    path = site.source / "file"
    path.write_bytes(b"version 1")
    make_old(site.source)
    for name in ("FINE_MARGIN_NS", "COARSE_MARGIN_NS"):
        monkeypatch.setattr(fingerprint_module, name, 0)
    monkeypatch.setattr(scan_module, "mounted_devices", lambda types: frozenset({os.stat(site.source).st_dev}))
    await site.back_up()
    cached = next(site.state.path.rglob("cache.sqlite"))
    path.write_bytes(b"version 2")
    make_old(site.source)
    status = path.stat()
    with sqlite3.connect(cached) as connection:
        key = bytes(path)[1:].replace(b"/", b"\0")
        times = (status.st_mtime_ns, status.st_ctime_ns, key)
        connection.execute("UPDATE rows SET mtime_ns = ?, ctime_ns = ? WHERE key = ? AND inode <> 0", times)
    connection.close()
    assert (await site.back_up()).scanned.bytes_read == 9
    await site.restore()
    assert (site.restored_source / "file").read_bytes() == b"version 2"


async def test_another_inode_is_another_file(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the size and all times of the one that was there, as on another disk that is mounted there."""
    path = site.source / "file"
    path.write_bytes(b"version 1")
    make_old(site.source)
    for name in ("FINE_MARGIN_NS", "COARSE_MARGIN_NS"):
        monkeypatch.setattr(fingerprint_module, name, 0)
    await site.back_up()
    assert (await site.back_up()).scanned.bytes_read == 0
    key = bytes(path)[1:].replace(b"/", b"\0")
    with closing(sqlite3.connect(next(site.state.path.rglob("cache.sqlite")))) as cache, cache:
        cache.execute("UPDATE rows SET inode = inode + 1 WHERE key = ?", (key,))
    assert (await site.back_up()).scanned.bytes_read == 9
