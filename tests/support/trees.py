"""Directory trees for tests, made from a seed."""

from __future__ import annotations

import os
import random
from pathlib import Path

MIB = 1 << 20
OLD_NS = 1_600_000_000_123_456_789
ODD_NAMES = [b"with space", "grün".encode(), b"\xff\xfe not utf-8", b"-dash", b"new\nline", b"a" * 255, b".hidden"]


def write_long_tree(root: Path, files: int = 5_000) -> Path:
    """One that a backup by SLOWLY takes half a minute for: holes cost nothing, so it is many files."""
    for first in range(0, files, 1000):
        directory = root / f"{first:06}"
        directory.mkdir(parents=True)
        for number in range(first, first + 1000):
            (directory / f"{number:06}").write_bytes(b"%d " % number * 40)
    return root


def write_tree(root: Path, seed: int = 1, small_files: int = 120) -> Path:
    """Files of many sizes (empty, small, around the limits, large), links, odd names, odd modes and times."""
    source = random.Random(seed)
    for number in range(21):
        (root / f"dir-{number % 7}" / f"sub-{number % 3}").mkdir(parents=True, exist_ok=True)
    for number in range(small_files):
        directory = root / f"dir-{number % 7}" / f"sub-{number % 3}"
        (directory / f"file-{number}").write_bytes(source.randbytes(source.choice([0, 1, 100, 5_000, 70_000])))
    for size in (MIB - 1, MIB, MIB + 1, 5 * MIB + 7):
        (root / f"large-{size}").write_bytes(source.randbytes(size))
    (root / "zeros").write_bytes(bytes(3 * MIB))
    (root / "text").write_bytes(b"the same line again and again\n" * 40_000)
    (root / "empty directory").mkdir()
    (root / "odd").mkdir()
    for name in ODD_NAMES:
        with open(os.fsencode(root / "odd") + b"/" + name, "wb") as file:
            file.write(name)
    (root / "link").symlink_to("text")
    (root / "dangling").symlink_to("/nowhere/at/all")
    (root / "link to directory").symlink_to("dir-1")
    (root / "text").chmod(0o400)
    (root / "dir-2").chmod(0o750)
    make_old(root)
    os.utime(root / "text", ns=(1, 1_234_567_890_123_456_789))
    os.utime(root / "zeros", ns=(1, -5_000_000_001))
    os.utime(root / "link", ns=(1, 987_654_321_000_000_001), follow_symlinks=False)
    os.utime(root / "dir-3", ns=(1, 1_000_000_000_000_000_007))
    if os.geteuid() == 0:
        os.chown(root / "dir-4", 12_345, 54_321)
    return root


def make_old(root: Path) -> None:
    """Files that nobody changed lately: a backup trusts their times."""
    for path in [root, *root.rglob("*")]:
        os.utime(path, ns=(1, OLD_NS), follow_symlinks=False)


def change_tree(root: Path, seed: int = 2) -> None:
    """Edits, adds, removes and renames."""
    source = random.Random(seed)
    (root / "dir-0" / "sub-0" / "file-0").write_bytes(source.randbytes(3_000))
    (root / "dir-1" / "added").write_bytes(source.randbytes(9_000))
    (root / "dir-5" / "sub-2" / "file-5").unlink()
    (root / f"large-{MIB}").rename(root / "renamed")
    path = root / f"large-{5 * MIB + 7}"
    content = path.read_bytes()
    path.write_bytes(content[: 2 * MIB] + b"inserted" + content[2 * MIB :])
