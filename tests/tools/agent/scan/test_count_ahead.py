"""How long a run still lasts is told when somebody watches, and costs nothing else."""

import os
from pathlib import Path

import trio
import trio.lowlevel

from tools.agent.scan.count_ahead import CountAhead
from tools.agent.scan.scan_figures import ScanFigures
from tools.agent.scan.walk import TreeWalk
from tools.agent.selection import make_selection


def walk_of(root: Path, spool: Path, *exclude: str) -> TreeWalk:
    selection = make_selection([os.fsencode(root)], exclude, one_file_system=False, state_directory=None)
    return TreeWalk(selection, spool, lambda path, code: None)


def test_the_total_is_that_of_the_files_once_each(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "a").write_bytes(bytes(1000))
    (tree / "b").hardlink_to(tree / "a")
    (tree / "c").write_bytes(bytes(20))
    (tree / "c.tmp").write_bytes(bytes(7))
    (tree / "link").symlink_to("a")
    figures = ScanFigures()
    CountAhead(walk_of(tree, tmp_path, "*.tmp"), figures).count()
    assert figures.bytes_total == 1020


async def test_the_end_of_the_run_ends_the_counting(tmp_path: Path) -> None:
    """What is left of the tree is not walked."""
    for number in range(2000):
        (tmp_path / str(number)).touch()
    looked = []

    class Slow(TreeWalk):
        def __iter__(self):  # type: ignore[no-untyped-def]
            for found in super().__iter__():
                looked.append(found.path)
                trio.from_thread.run(trio.sleep, 0)
                yield found

    selection = make_selection([os.fsencode(tmp_path)], [], one_file_system=False, state_directory=None)
    figures = ScanFigures()
    async with CountAhead(Slow(selection, tmp_path, lambda path, code: None), figures, after_seconds=0).beside():
        while not looked:
            await trio.lowlevel.checkpoint()
    assert figures.bytes_total is None
    assert len(looked) < 2000
