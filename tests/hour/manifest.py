"""What a tree was when it was backed up, and what of it a restore lacks."""

from __future__ import annotations

import hashlib
import stat
from dataclasses import dataclass, field
from pathlib import Path

Facts = tuple[object, ...]
Manifest = dict[str, Facts]


@dataclass(slots=True)
class Compared:
    """Paths."""

    missing: list[str] = field(default_factory=list)
    different: list[str] = field(default_factory=list)
    extra: list[str] = field(default_factory=list)

    @property
    def is_equal(self) -> bool:
        return not (self.missing or self.different or self.extra)


def manifest_of(root: Path) -> Manifest:
    """Everything below it; a link is not followed."""
    return {str(path.relative_to(root)): _facts(path) for path in sorted(root.rglob("*"))}


def compare(source: Manifest, back: Manifest, *, is_part: bool = False) -> Compared:
    """`is_part`: the restore is of a provisional safeset, which has files up to somewhere and directories without time;
    names of a hard link may be among what is left out.
    """
    if is_part:
        source, back = _files(source), _files(back)
    missing = [] if is_part else sorted(source.keys() - back.keys())
    different = [path for path in sorted(source.keys() & back.keys()) if source[path] != back[path]]
    return Compared(missing, different, sorted(back.keys() - source.keys()))


def _facts(path: Path) -> Facts:
    status = path.lstat()
    if stat.S_ISLNK(status.st_mode):
        return ("link", str(path.readlink()))
    common = (stat.S_IMODE(status.st_mode), status.st_mtime_ns, status.st_uid, status.st_gid)
    if stat.S_ISDIR(status.st_mode):
        return ("directory", *common)
    with path.open("rb") as file:
        content = hashlib.file_digest(file, "sha256").hexdigest()
    return ("file", status.st_size, content, *common, status.st_nlink)


def _files(manifest: Manifest) -> Manifest:
    return {path: facts[:-1] for path, facts in manifest.items() if facts[0] == "file"}
