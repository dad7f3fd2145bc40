"""The order of the scan, what it leaves out, and that a directory of any size and depth is walked within bounds."""

import os
import random
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tools.agent.scan import walk as walk_module
from tools.agent.scan.sorted_names import sorted_names
from tools.agent.scan.walk import TreeWalk
from tools.agent.selection import Selection, make_selection, merge_includes
from tools.client.failure import Failure


def walked(selection: Selection, spool: Path) -> tuple[list[bytes], list[tuple[bytes, str]]]:
    missed: list[tuple[bytes, str]] = []
    paths = [found.path for found in TreeWalk(selection, spool, lambda path, code: missed.append((path, code)))]
    return paths, missed


def model_order(root: Path) -> list[bytes]:
    """Every path below root, sorted by its list of components: written without the code under test."""
    found = [bytes(root)[1:].split(b"/")]
    for directory, names, files in os.walk(bytes(root)):
        found += [os.path.join(directory, name)[1:].split(b"/") for name in names + files]
    return [b"/".join(components) for components in sorted(found)]


def below(paths: list[bytes], root: Path) -> list[bytes]:
    return [path for path in paths if path.startswith(bytes(root)[1:])]


def test_order_is_by_the_bytes_of_components(tmp_path: Path) -> None:
    root = tmp_path / "tree"
    for name in ("a", "a.b", "a b", "a0", "ab", "B", "é", "a/x", "a/x.y", "a.b/c", "\udcff", "\U0001f600"):
        (root / name).mkdir(parents=True, exist_ok=True)
    paths, missed = walked(make_selection([bytes(root)], [], False, None), tmp_path)
    assert below(paths, root) == model_order(root)
    assert missed == []


def test_the_directories_above_come_once_and_nested_includes_once(tmp_path: Path) -> None:
    for name in ("one/two/three", "one/four", "five"):
        (tmp_path / name).mkdir(parents=True)
    include = [bytes(tmp_path / name) for name in ("one/two", "one/two/three", "one/four", "one/two")]
    paths, _ = walked(make_selection(include, [], False, None), tmp_path)
    assert len(paths) == len(set(paths))
    assert paths[:2] == [b"", b"/".join(bytes(tmp_path)[1:].split(b"/")[:1])]
    names = [os.path.relpath(b"/" + path, bytes(tmp_path)) for path in below(paths, tmp_path)]
    assert names == [b".", b"one", b"one/four", b"one/two", b"one/two/three"]


@pytest.mark.parametrize("path", [b"relative", b"/a/../b", b"/a\0b"])
def test_other_than_absolute_paths_are_refused(path: bytes) -> None:
    with pytest.raises(Failure, match="not an absolute path"):
        merge_includes([path])


def test_the_root_contains_everything() -> None:
    assert merge_includes([b"/usr", b"/", b"//usr//share/"]) == (b"",)
    assert merge_includes([b"/usr/./share/", b"/usr/share2"]) == (b"usr/share", b"usr/share2")


def test_a_big_directory_is_sorted_on_disk(tmp_path: Path) -> None:
    root, spool = tmp_path / "tree", tmp_path / "spool"
    root.mkdir()
    spool.mkdir()
    names = [f"{number:05}" + "x" * (number % 90) for number in range(3_000)]
    random.Random(1).shuffle(names)
    for name in names:
        (root / name).touch()
    descriptor = os.open(root, os.O_RDONLY)
    try:
        found = list(sorted_names(descriptor, spool, in_memory_max=64))
    finally:
        os.close(descriptor)
    assert found == sorted(name.encode() for name in names)
    assert os.listdir(spool) == []


@pytest.mark.parametrize("count", [0, 1, 63, 64, 65, 128])
def test_the_bound_of_names_in_memory_is_exact(tmp_path: Path, count: int) -> None:
    for number in range(count):
        (tmp_path / f"{number:03}").touch()
    descriptor = os.open(tmp_path, os.O_RDONLY)
    try:
        found = list(sorted_names(descriptor, Path("/tmp"), in_memory_max=64))
    finally:
        os.close(descriptor)
    assert found == [b"%03d" % number for number in range(count)]


def test_a_deep_tree_needs_few_descriptors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(walk_module, "OPEN_DIRECTORIES_MAX", 5)
    depth = 40
    directory = root = tmp_path / "tree"
    for _ in range(depth):
        directory = directory / "d"
        directory.mkdir(parents=True)
        (directory / "a").touch()
        (directory / "z").touch()
    before = len(os.listdir("/proc/self/fd"))
    most = 0
    walk = TreeWalk(make_selection([bytes(root)], [], False, None), tmp_path, pytest.fail)
    paths = []
    for found in walk:
        paths.append(found.path)
        most = max(most, len(os.listdir("/proc/self/fd")) - before)
    assert below(paths, root) == model_order(root)
    assert most <= 8
    assert len(os.listdir("/proc/self/fd")) == before


def test_links_are_never_followed(tmp_path: Path) -> None:
    outside, root = tmp_path / "outside", tmp_path / "tree"
    (outside / "inside").mkdir(parents=True)
    root.mkdir()
    (root / "link").symlink_to(outside)
    paths, _ = walked(make_selection([bytes(root)], [], False, None), tmp_path)
    assert below(paths, root) == [bytes(root)[1:], bytes(root / "link")[1:]]
    through = bytes(root / "link" / "inside")
    paths, missed = walked(make_selection([through], [], False, None), tmp_path)
    assert missed == [(through[1:], "include goes through a link")]


def test_the_state_directory_is_left_out(tmp_path: Path) -> None:
    state = tmp_path / "tree" / "state"
    (state / "jobs").mkdir(parents=True)
    (tmp_path / "tree" / "file").touch()
    paths, _ = walked(make_selection([bytes(tmp_path / "tree")], [], False, state), tmp_path)
    assert below(paths, tmp_path / "tree") == [bytes(tmp_path / "tree")[1:], bytes(tmp_path / "tree" / "file")[1:]]


def test_an_include_that_is_gone_is_told(tmp_path: Path) -> None:
    walk_missed: list[tuple[bytes, str]] = []
    selection = make_selection([bytes(tmp_path / "gone"), bytes(tmp_path / "there")], [], False, None)
    (tmp_path / "there").touch()
    walk = TreeWalk(selection, tmp_path, lambda path, code: walk_missed.append((path, code)))
    paths = [found.path for found in walk]
    assert paths[-1] == bytes(tmp_path / "there")[1:]
    assert walk_missed == [(bytes(tmp_path / "gone")[1:], "include not found")]
    assert walk.roots_found == 1


def test_an_include_inside_an_excluded_directory_is_taken_whole(tmp_path: Path) -> None:
    root = tmp_path / "tree"
    for name in ("cache/other", "cache/keep/deep", "cache/keep/cache", "plain"):
        (root / name).mkdir(parents=True)
    for name in ("cache/no", "cache/keep/yes", "cache/keep/deep/yes", "cache/keep/no.tmp", "plain/yes"):
        (root / name).touch()
    include = [bytes(root), bytes(root / "cache" / "keep")]
    paths, missed = walked(make_selection(include, ["cache/", "*.tmp"], False, None), tmp_path)
    names = [os.path.relpath(b"/" + path, bytes(root)) for path in below(paths, root)]
    assert names == [
        b".", b"cache", b"cache/keep", b"cache/keep/cache", b"cache/keep/deep", b"cache/keep/deep/yes",
        b"cache/keep/yes", b"plain", b"plain/yes",
    ]  # fmt: skip
    assert missed == []


def test_an_include_that_a_pattern_names_is_taken_whole(tmp_path: Path) -> None:
    root = tmp_path / "cache"
    root.mkdir()
    (root / "file").touch()
    paths, _ = walked(make_selection([bytes(root)], ["cache/"], False, None), tmp_path)
    assert below(paths, root) == [bytes(root)[1:], bytes(root / "file")[1:]]


def test_an_include_on_another_file_system_is_taken_with_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "tree"
    for name in ("mount/include/deep", "mount/other", "mount/include/third/inside", "plain"):
        (root / name).mkdir(parents=True)
    (root / "mount" / "include" / "file").touch()
    devices = {path.stat().st_ino: 4_001 for path in [root / "mount", *(root / "mount").rglob("*")]}
    third = root / "mount" / "include" / "third"
    devices |= {path.stat().st_ino: 4_002 for path in [third, third / "inside"]}
    real = os.stat

    def stat_elsewhere(*arguments: Any, **more: Any) -> os.stat_result:
        status = real(*arguments, **more)
        return os.stat_result((*status[:2], devices.get(status.st_ino, status.st_dev), *status[3:]))

    monkeypatch.setattr(walk_module.os, "stat", stat_elsewhere)
    include = [bytes(root), bytes(root / "mount" / "include")]
    paths, missed = walked(make_selection(include, [], True, None), tmp_path)
    names = [os.path.relpath(b"/" + path, bytes(root)) for path in below(paths, root)]
    assert names == [
        b".", b"mount", b"mount/include", b"mount/include/deep", b"mount/include/file", b"mount/include/third",
        b"plain",
    ]  # fmt: skip
    assert missed == []


def test_an_include_that_is_not_in_the_one_around_it_is_told(tmp_path: Path) -> None:
    root = tmp_path / "tree"
    root.mkdir()
    include = [bytes(root), bytes(root / "gone" / "too")]
    paths, missed = walked(make_selection(include, [], False, None), tmp_path)
    assert below(paths, root) == [bytes(root)[1:]]
    assert missed == [(bytes(root / "gone" / "too")[1:], "include not reached")]


@pytest.mark.parametrize("is_inner", [False, True])
def test_an_include_that_is_a_link_is_told(tmp_path: Path, is_inner: bool) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "elsewhere").mkdir()
    link = tmp_path / "tree" / "link"
    link.symlink_to(tmp_path / "elsewhere")
    include = [bytes(link), bytes(tmp_path / "tree")] if is_inner else [bytes(link)]
    paths, missed = walked(make_selection(include, [], False, None), tmp_path)
    assert paths[-1] == bytes(link)[1:]
    assert missed == [(bytes(link)[1:], "include is a link")]


@pytest.fixture
def unprivileged() -> Iterator[Path]:
    """A directory that everybody may search; meanwhile this process is nobody if it was root."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        directory = Path(name)
        directory.chmod(0o755)
        (directory / "above" / "include").mkdir(parents=True)
        (directory / "above" / "include" / "file").touch()
        yield directory
        (directory / "above").chmod(0o755)


def walked_as_nobody(include: Path, spool: Path) -> tuple[list[bytes], list[tuple[bytes, str]]]:
    before = os.geteuid()
    if before == 0:
        os.seteuid(65_534)
    try:
        return walked(make_selection([bytes(include)], [], False, None), spool)
    finally:
        os.seteuid(before)


def test_the_way_to_an_include_need_not_be_listed(unprivileged: Path) -> None:
    (unprivileged / "above").chmod(0o111)
    paths, missed = walked_as_nobody(unprivileged / "above" / "include", unprivileged)
    assert paths[-1] == bytes(unprivileged / "above" / "include" / "file")[1:]
    assert missed == []


def test_an_include_that_may_not_be_reached_is_unreadable(unprivileged: Path) -> None:
    (unprivileged / "above").chmod(0o444)
    include = unprivileged / "above" / "include"
    with pytest.raises(Failure, match="include cannot be read"):
        walked_as_nobody(include, unprivileged)
