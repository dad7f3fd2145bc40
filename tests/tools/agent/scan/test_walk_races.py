"""Trees that are changed while they are walked: nothing is listed under a path where it is not."""

import os
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from tools.agent.scan import walk as walk_module
from tools.agent.scan.walk import Found, TreeWalk
from tools.agent.selection import make_selection
from tools.client.failure import Failure

Missed = list[tuple[bytes, str]]


def walked(
    root: Path, missed: Missed, at: Path | None = None, change: Callable[[], object] = lambda: None
) -> Iterator[Found]:
    """What the walk finds below root; the change is made as soon as it has found `at`."""
    walk = TreeWalk(
        make_selection([bytes(root)], [], False, None), root.parent, lambda path, code: missed.append((path, code))
    )
    for found in walk:
        yield found
        if at and found.path == bytes(at)[1:]:
            change()


@pytest.mark.parametrize("name", [".", "directory"])
def test_a_directory_that_became_a_link_is_not_entered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Between the look at it and its opening."""
    root, outside, missed = tmp_path / "tree", tmp_path / "outside", Missed()
    (root / "directory").mkdir(parents=True)
    (outside / "directory").mkdir(parents=True)
    (outside / "directory" / "secret").touch()
    victim = root / name

    real = os.open

    def open_late(what: Any, flags: int, **more: Any) -> int:
        if what == os.fsencode(victim.name) and not flags & os.O_PATH:
            victim.rename(tmp_path / "away")
            victim.symlink_to(outside / name)
        return real(what, flags, **more)

    monkeypatch.setattr(walk_module.os, "open", open_late)
    paths = []
    with pytest.raises(Failure, match="tree cannot be read") if name == "." else nullcontext():
        paths += [found.path for found in walked(root, missed)]
        assert paths[-1] == bytes(victim)[1:]
    assert missed == ([] if name == "." else [(bytes(victim)[1:], "unreadable")])


def test_a_directory_that_moved_is_not_gone_on_with_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only one directory is kept open, so the way up leads through the one that moved meanwhile."""
    monkeypatch.setattr(walk_module, "OPEN_DIRECTORIES_MAX", 1)
    root, outside, missed = tmp_path / "tree", tmp_path / "outside", Missed()
    (root / "a" / "d" / "e").mkdir(parents=True)
    outside.mkdir()
    for directory in (root / "a", outside):
        (directory / "z").write_text(str(directory))
    elsewhere = (outside / "z").stat().st_ino
    move = (root / "a" / "d").rename
    inodes = {
        found.path: found.status.st_ino
        for found in walked(root, missed, root / "a" / "d" / "e", lambda: move(outside / "d"))
    }
    assert elsewhere not in inodes.values()
    assert inodes[bytes(root / "a" / "z")[1:]] == (root / "a" / "z").stat().st_ino
    assert missed == []


def test_a_directory_that_moved_away_is_told_and_what_is_above_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(walk_module, "OPEN_DIRECTORIES_MAX", 1)
    root, missed = tmp_path / "tree", Missed()
    (root / "a" / "d" / "e").mkdir(parents=True)
    for directory in (root, root / "a", root / "a" / "d"):
        (directory / "z").touch()

    def change() -> None:
        (root / "a" / "d").rename(tmp_path / "d")
        (root / "a").rename(tmp_path / "a")

    found = {found.path for found in walked(root, missed, root / "a" / "d" / "e", change)}
    assert bytes(root / "z")[1:] in found
    assert bytes(root / "a" / "z")[1:] not in found
    assert missed == [(bytes(root / "a")[1:], "moved during the scan")]
