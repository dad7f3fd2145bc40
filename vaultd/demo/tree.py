"""The demo's files: how much they are, a change of the copy, and the comparison after the restore."""

import os
import shutil
import subprocess
import sysconfig
from dataclasses import dataclass
from pathlib import Path

from vaultd.errors import VaultError

EDITED, ADDED, REMOVED = 12, 5, 5
DEFAULT_FILES_MIN = 200
COMPARE = ["rsync", "-aHAXSnc", "--delete", "--itemize-changes"]


@dataclass(frozen=True, slots=True)
class TreeSize:
    files: int
    size_bytes: int


class RsyncMissing(VaultError):
    """Without rsync nobody independent could compare the trees."""

    exit_code = 1


def require_rsync() -> None:
    if shutil.which("rsync") is None:
        raise RsyncMissing("rsync is not installed; the demo compares the restored tree with it", "install rsync")


def default_source() -> Path:
    """Documentation of the system, or Python's library where an image was stripped of the former."""
    documentation = Path("/usr/share/doc")
    if documentation.is_dir() and measure(documentation).files >= DEFAULT_FILES_MIN:
        return documentation
    return Path(sysconfig.get_paths()["stdlib"])


def measure(tree: Path) -> TreeSize:
    """Regular files and their apparent bytes, a file with several names once."""
    files = size_bytes = 0
    seen: set[tuple[int, int]] = set()
    for path in regular_files(tree):
        status = path.lstat()
        files += 1
        if (status.st_dev, status.st_ino) not in seen:
            size_bytes += status.st_size
        if status.st_nlink > 1:
            seen.add((status.st_dev, status.st_ino))
    return TreeSize(files, size_bytes)


def regular_files(tree: Path) -> list[Path]:
    """In the order of their names, so that the change is the same every time."""
    found = []
    for folder, folders, names in os.walk(tree):
        folders.sort()
        paths = (Path(folder, name) for name in sorted(names))
        found += [path for path in paths if path.is_file() and not path.is_symlink()]
    return found


def change(tree: Path) -> str:
    """Edits, adds and removes some files, spread over the tree; returns what was done."""
    files = regular_files(tree)
    step = max(1, len(files) // (EDITED + REMOVED))
    chosen = files[::step][: EDITED + REMOVED]
    edited, removed = chosen[:EDITED], chosen[EDITED:]
    for path in removed:
        path.unlink()
    for number, path in enumerate(edited):
        path.chmod(path.stat().st_mode | 0o200)
        with path.open("ab") as handle:
            handle.write(b"a line added by the demo, number %d\n" % number)
    for number in range(ADDED):
        (tree / f"added-by-the-demo-{number}.txt").write_text(f"new file {number}\n" * 50, encoding="utf-8")
    files_edited = "1 file" if len(edited) == 1 else f"{len(edited)} files"
    return f"{files_edited} edited, {ADDED} added, {len(removed)} removed"


def differences(tree: Path, restored: Path) -> list[str]:
    """What rsync would have to change in `restored`, comparing every byte and attribute; nothing means identical."""
    done = subprocess.run([*COMPARE, f"{tree}/", f"{restored}/"], capture_output=True, text=True, check=False)
    lines = [line for line in done.stdout.splitlines() if line.strip()]
    return lines if done.returncode == 0 else [*lines, *done.stderr.strip().splitlines()]


def disk_bytes(folder: Path) -> int:
    """Bytes that the files below a folder hold on disk."""
    return sum(path.lstat().st_size for path in regular_files(folder))
