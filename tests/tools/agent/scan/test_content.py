"""Reading files that hold still, change, or are replaced meanwhile; cutting as one continuous pass."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from blake3 import blake3

from tools.agent.scan import content as content_module
from tools.agent.scan.content import LargeFile, Replaced, TooLong, open_found, read_small
from tools.agent.scan.walk import Found
from tools.client.chunker import CHUNK_MAX_BYTES, FileCutter

KEY = b"k" * 32
SEED = b"seed" * 2


def found(path: Path) -> Found:
    return Found(bytes(path)[1:], path.lstat(), os.open(path.parent, os.O_RDONLY), path.name.encode())


@pytest.fixture
def meddle(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[int], None]], None]:
    """Calls a function with the number of each reading, right after the first bytes were read."""

    def install(change: Callable[[int], None]) -> None:
        readings = [0]
        real = os.read

        def read(descriptor: int, count: int) -> bytes:
            data = real(descriptor, count)
            readings[0] += 1
            change(readings[0])
            return data

        monkeypatch.setattr(content_module.os, "read", read)

    return install


def test_a_still_file_is_read_once(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"content")
    descriptor, status = open_found(found(path))
    assert read_small(descriptor, status)[0::2] == (b"content", False)


def test_a_file_that_changes_once_is_read_again(tmp_path: Path, meddle: Callable[..., None]) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"before")
    meddle(lambda reading: path.write_bytes(b"and after it") if reading == 1 else None)
    descriptor, status = open_found(found(path))
    content, status, is_changed = read_small(descriptor, status)
    assert (content, is_changed, status.st_size) == (b"and after it", False, 12)


def test_a_file_that_never_rests_is_taken_and_marked(tmp_path: Path, meddle: Callable[..., None]) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"0")

    def grow(reading: int) -> None:
        with path.open("ab") as file:
            file.write(b"x")

    meddle(grow)
    descriptor, status = open_found(found(path))
    content, _, is_changed = read_small(descriptor, status)
    assert is_changed
    assert content.startswith(b"0")


def test_a_file_that_took_its_place_is_read(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"mine")
    scanned = found(path)
    (tmp_path / "other").write_bytes(b"other one")
    os.replace(tmp_path / "other", path)
    descriptor, status = open_found(scanned)
    assert read_small(descriptor, status)[0] == b"other one"
    assert status.st_ino == path.stat().st_ino


def test_a_link_in_its_place_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"mine")
    scanned = found(path)
    path.unlink()
    path.symlink_to("/etc/passwd")
    with pytest.raises(Replaced):
        open_found(scanned)


def test_a_file_that_is_replaced_each_time_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"mine")
    scanned = found(path)
    real, opened = os.open, []

    def replacing_open(*arguments: Any, **more: Any) -> int:
        opened.append(arguments)
        path.rename(tmp_path / f"older-{len(opened)}")
        path.write_bytes(b"next")
        return real(*arguments, **more)

    monkeypatch.setattr(content_module.os, "open", replacing_open)
    with pytest.raises(Replaced):
        open_found(scanned)
    assert len(opened) == content_module.ATTEMPTS_MAX


@pytest.mark.parametrize("size", [1 << 20, (8 << 20) - 1, 8 << 20, (8 << 20) + 1, (19 << 20) + 12_345])
def test_cuts_do_not_depend_on_how_the_file_is_read(tmp_path: Path, size: int) -> None:
    content = blake3(b"content").digest(length=size)
    path = tmp_path / "file"
    path.write_bytes(content)
    descriptor, _ = open_found(found(path))
    large = LargeFile(descriptor, KEY, FileCutter(SEED))
    chunks = [chunk.content for chunk in large]
    assert b"".join(chunks) == content
    assert max(map(len, chunks)) <= CHUNK_MAX_BYTES
    assert [len(chunk) for chunk in chunks] == FileCutter(SEED).cut(content, final=True)
    assert (large.hash, large.size_bytes, large.is_changed) == (blake3(content, key=KEY).digest(), size, False)


def test_a_large_file_that_shrinks_is_marked(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(9 << 20))
    descriptor, _ = open_found(found(path))
    large = LargeFile(descriptor, KEY, FileCutter(SEED))
    chunks = iter(large)
    next(chunks)
    os.truncate(path, 8 << 20)
    list(chunks)
    assert large.is_changed
    assert large.size_bytes == 8 << 20


def test_a_file_that_grows_for_ever_ends(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(2 << 20))
    descriptor, _ = open_found(found(path))
    os.truncate(path, 64 << 20)
    large = LargeFile(descriptor, KEY, FileCutter(SEED))
    large.before = os.stat_result((*large.before[:6], 2 << 20, *large.before[7:10]))
    large._expected_bytes = 2 << 20
    assert sum(chunk.size_bytes for chunk in large) == (2 << 20) + 1
    assert large.is_changed


def test_a_sizeless_file_without_an_end_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(3 << 20))
    descriptor, _ = open_found(found(path))
    assert sum(chunk.size_bytes for chunk in LargeFile(descriptor, KEY, FileCutter(SEED), 3 << 20)) == 3 << 20
    with pytest.raises(TooLong):
        list(LargeFile(descriptor, KEY, FileCutter(SEED), (3 << 20) - 1))
