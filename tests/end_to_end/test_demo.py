"""The demo as a person runs it."""

import os
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.end_to_end.conftest import ROOT, environment


def demo(*words: object, path: str | None = None) -> subprocess.CompletedProcess[str]:
    more = {} if path is None else {"PATH": path}
    return subprocess.run(
        [sys.executable, "-m", "vaultd", "demo", "--once", *map(str, words)],
        cwd=ROOT, env=environment() | more, capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.fixture
def source(tmp_path: Path) -> Path:
    tree = tmp_path / "source"
    tree.mkdir()
    for number in range(40):
        (tree / f"file-{number}").write_bytes(b"line %d\n" % number * 400)
    (tree / "link").symlink_to("file-1")
    return tree


def test_the_demo_restores_what_it_backed_up_and_leaves_nothing_behind(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setenv("TMPDIR", str(scratch))
    before = {path.name: path.lstat().st_mtime_ns for path in source.iterdir()}
    done = demo("--source", source)
    assert done.returncode == 0, done.stderr
    size = sum(path.stat().st_size for path in source.glob("file-*"))
    last = done.stdout.splitlines()[-1]
    assert last.startswith("restored 40 files, ")
    assert last.endswith(" bytes: identical")
    assert abs(int(last.split()[3]) - size) < 100_000
    assert {path.name: path.lstat().st_mtime_ns for path in source.iterdir()} == before
    assert list(scratch.iterdir()) == []


def test_what_comes_back_on_request_only_is_counted_and_not_copied(tmp_path: Path) -> None:
    source = tmp_path / "with a space"
    (source / "read only").mkdir(parents=True)
    for name in ("one", "two", "read only/three"):
        (source / name).write_text(name)
    os.link(source / "one", source / "one again")
    os.mkfifo(source / "pipe")
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(source / "socket"))
    os.setxattr(source / "two", "user.colour", b"blue")
    os.mknod(source / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    (source / "one").chmod(0o4755)
    (source / "read only").chmod(0o500)
    done = demo("--source", source)
    assert done.returncode == 0, done.stdout + done.stderr
    (told,) = [line for line in done.stdout.splitlines() if line.startswith("not copied")]
    assert told.split(maxsplit=2)[2] == "1 device"
    assert done.stdout.splitlines()[-1].endswith(" bytes: identical")


@pytest.mark.parametrize(("name", "why"), [("absent", "is not a directory"), ("empty", "holds no file")])
def test_a_source_without_files_is_told_before_anything_is_made(tmp_path: Path, name: str, why: str) -> None:
    (tmp_path / "empty").mkdir()
    done = demo("--source", tmp_path / name)
    assert done.returncode == 4
    assert done.stderr.startswith(f"error: {tmp_path / name} {why}")


def test_a_named_directory_is_kept_and_must_be_empty(source: Path, tmp_path: Path) -> None:
    place = tmp_path / "demo"
    assert demo("--source", source, "--dir", place).returncode == 0
    assert {path.name for path in place.iterdir()} >= {"vault", "tree", "restored", "agent"}
    again = demo("--source", source, "--dir", place)
    assert again.returncode == 6
    assert "is not empty" in again.stderr


def test_without_rsync_nobody_compares(source: Path) -> None:
    done = demo("--source", source, path="/nonexistent")
    assert done.returncode == 1
    assert "rsync is not installed" in done.stderr
    assert done.stdout == ""
