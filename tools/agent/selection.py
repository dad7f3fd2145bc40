"""What a job takes: the included paths in scan order, the excluded patterns, and whether mount points are entered.

Patterns mean what they mean in a .gitignore file at the file system's root. An included path is never excluded, and a
pattern that would exclude it says nothing about what is below it. With `one_file_system` each included path brings its
own file system, also where it is inside another one.
"""

from __future__ import annotations

import importlib
import os
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from protocol.limits import DEFINITION_BYTES_MAX
from tools.client.failure import Failure

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

Matcher = Callable[[bytes, bool], bool]
"""Whether a path is excluded; the second says whether it is a directory."""


def scan_key(path: bytes) -> bytes:
    """Paths in the order of the scan are those in the order of these keys."""
    return path.replace(b"/", b"\0")


@dataclass(frozen=True, slots=True)
class Selection:
    """`roots` are without the leading slash, in scan order, none inside another; `inner` are the included paths inside
    a root, `leading` the directories between the two; `kept_out` is the state directory.
    """

    roots: tuple[bytes, ...]
    inner: frozenset[bytes]
    leading: frozenset[bytes]
    exclude: tuple[str, ...]
    one_file_system: bool
    kept_out: tuple[int, int] | None
    exclude_caches: bool = False

    def matcher_below(self, include: bytes) -> Matcher | None:
        """What excludes paths below one included path."""
        return _matcher(self.exclude, include)


def make_selection(
    include: Iterable[bytes],
    exclude: Iterable[str],
    one_file_system: bool,
    state_directory: Path | None,
    *,
    exclude_caches: bool = False,
) -> Selection:
    kept_out = None
    if state_directory is not None:
        status = os.stat(state_directory)
        kept_out = (status.st_dev, status.st_ino)
    include, patterns = tuple(include), tuple(exclude)
    _check_size(include, patterns)
    roots = merge_includes(include)
    inner = frozenset(map(plain_path, include)).difference(roots)
    leading = frozenset(above for path in inner for above in parents(path) if _is_below_any(above, roots)) - inner
    if patterns:
        _spec(patterns)
    return Selection(roots, inner, leading, patterns, one_file_system, kept_out, exclude_caches)


def _check_size(include: tuple[bytes, ...], patterns: tuple[str, ...]) -> None:
    """Told before anything is read: the payload of the safeset would have no room for them."""
    size_bytes = sum(map(len, include)) + sum(len(pattern.encode()) for pattern in patterns)
    if size_bytes > DEFINITION_BYTES_MAX:
        raise Failure(
            "bad_request",
            f"the job's includes and excludes have {size_bytes} bytes together, more than {DEFINITION_BYTES_MAX}",
            "create the job anew: name directories instead of the files in them, or make two jobs",
        )


def merge_includes(include: Iterable[bytes]) -> tuple[bytes, ...]:
    """The outermost of absolute paths, each once."""
    merged: list[bytes] = []
    for path in sorted({plain_path(path) for path in include}, key=scan_key):
        if not merged or not is_inside(path, merged[-1]):
            merged.append(path)
    return tuple(merged)


def is_inside(path: bytes, root: bytes) -> bool:
    """Whether `path` is `root` or below it."""
    return path == root or root == b"" or path.startswith(root + b"/")


def parents(path: bytes) -> list[bytes]:
    """The directories above a path from the file system's root on."""
    if path == b"":
        return []
    components = path.split(b"/")
    return [b"/".join(components[:depth]) for depth in range(len(components))]


def plain_path(path: bytes) -> bytes:
    """An absolute path without its leading slash, without doubled slashes and dots."""
    components = path.split(b"/")
    if not path.startswith(b"/") or b".." in components or b"\0" in path:
        raise Failure(
            "bad_request", f"{path!r} is not an absolute path without '..'", "name it from the file system's root on"
        )
    return b"/".join(part for part in components if part not in (b"", b"."))


def _is_below_any(path: bytes, roots: tuple[bytes, ...]) -> bool:
    return any(path != root and is_inside(path, root) for root in roots)


def _matcher(patterns: tuple[str, ...], include: bytes) -> Matcher | None:
    if not patterns:
        return None
    spec = _spec(patterns)
    itself = os.fsdecode(include) + "/"
    if include and spec.match_file(itself):
        spec = type(spec)([pattern for pattern in spec.patterns if pattern.match_file(itself) is None])

    def is_excluded(path: bytes, is_directory: bool) -> bool:
        text = os.fsdecode(path)
        return spec.match_file(text + "/" if is_directory else text)

    return is_excluded


def _spec(patterns: tuple[str, ...]) -> GitIgnoreSpec:
    spec_class: type[GitIgnoreSpec] = importlib.import_module("pathspec").GitIgnoreSpec  # many jobs exclude nothing
    try:
        return spec_class.from_lines(patterns)
    except (ValueError, re.error) as error:
        raise Failure(
            "bad_request", f"an exclude pattern of the job is not valid: {error}", "create another job without it"
        ) from None
