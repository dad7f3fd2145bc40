"""A copy of what lies in /usr/share of this machine, or in $SAFESET_BENCH_TREE: real files, other ones elsewhere."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

TREE = Path(os.environ.get("SAFESET_BENCH_TREE", "/usr/share"))


def copy_share(root: Path, files_max: int) -> None:
    """Files and symbolic links with their times, in the order of their names, until there are `files_max`."""
    copied = 0
    for directory, below, names in os.walk(TREE):
        below.sort()
        here = root / Path(directory).relative_to(TREE)
        here.mkdir(parents=True, exist_ok=True)
        for name in sorted(names):
            if copied == files_max:
                return
            path = Path(directory) / name
            if path.is_symlink() or path.is_file():
                shutil.copy2(path, here / name, follow_symlinks=False)
                copied += 1
