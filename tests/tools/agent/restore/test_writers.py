"""Files are finished by several threads: what comes after one waits for it, and nothing else does."""

import errno
import os
import stat
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.tools.agent.restore.test_write_tree import (
    CONTENT,
    KEY,
    directory_steps,
    entry,
    file_steps,
    refuse,
    target,
    write,
)
from tools.agent.missed import Missed
from tools.agent.restore import write_tree, writers
from tools.agent.restore.metadata import Rights
from tools.agent.restore.open_file import OpenFile
from tools.agent.restore.survey import Overwrite
from tools.agent.restore.write_tree import TreeWriter
from tools.agent.safeset.window import Above, Begin, Left, Name, Part, Slot, Step, Window
from tools.client.failure import Failure
from tools.client.manifest import Entry, Extra, Kind

__all__ = ["target"]
MARKED = stat.S_ISUID | stat.S_ISVTX
LINKED = {Extra.LINK_SET: b"s" * 16, Extra.NAMES: 2}
PATIENCE_SECONDS = 20  # only a failure takes so long


def many_files(directory: bytes, count: int) -> list[Step]:
    return [step for number in range(count) for step in file_steps(b"%s/%03d" % (directory, number))]


@pytest.fixture
def before_finishing(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[bytes], None]], None]:
    """Something that is called with the path of each file before it is finished, in the thread that does it."""

    def patch(hook: Callable[[bytes], None]) -> None:
        real = OpenFile.finish

        def finish(file: OpenFile, *arguments: Any) -> None:
            hook(file.entry.path)
            real(file, *arguments)

        monkeypatch.setattr(OpenFile, "finish", finish)

    return patch


def test_a_file_that_waits_keeps_no_other_one_from_being_finished(
    target: Path, before_finishing: Callable[[Callable[[bytes], None]], None]
) -> None:
    is_last_there, threads = threading.Event(), set()

    def hook(path: bytes) -> None:
        threads.add(threading.get_ident())
        if path == b"d/000":
            assert is_last_there.wait(PATIENCE_SECONDS)
        if path == b"d/099":
            is_last_there.set()

    before_finishing(hook)
    assert write(target, [*directory_steps(b"d"), *many_files(b"d", 100)]).kept == []
    assert len(os.listdir(target / "d")) == 100
    assert len(threads - {threading.get_ident()}) == 2


def test_a_directory_gets_its_metadata_after_a_file_that_is_late(
    target: Path, before_finishing: Callable[[Callable[[bytes], None]], None]
) -> None:
    """Those above it too; what comes behind it goes on."""
    is_other_there, modes = threading.Event(), []

    def hook(path: bytes) -> None:
        if path == b"a/b/000":
            assert is_other_there.wait(PATIENCE_SECONDS)
            modes.extend((target / name).stat().st_mode & MARKED for name in ("a", "a/b"))
        if path == b"z/000":
            is_other_there.set()

    before_finishing(hook)
    steps = [
        *directory_steps(b"a", mode=0o750, mtime_ns=7), *directory_steps(b"a/b", mode=0o500, mtime_ns=8),
        *many_files(b"a/b", 32), *directory_steps(b"z", mtime_ns=9), *many_files(b"z", 32),
    ]  # fmt: skip
    assert write(target, steps).kept == []
    assert modes == [MARKED, MARKED]
    for name, mode, mtime_ns in (("a", 0o750, 7), ("a/b", 0o500, 8), ("z", 0o644, 9)):
        status = (target / name).stat()
        assert (stat.S_IMODE(status.st_mode), status.st_mtime_ns) == (mode, mtime_ns)


class LateThreads:
    """Does what it is given when somebody waits for it, and no sooner."""

    def __init__(self, *_: object) -> None:
        pass

    class _Later:
        def __init__(self, call: Callable[[], None]) -> None:
            self.result = call

        def done(self) -> bool:
            return False

    def submit(self, function: Callable[..., None], *arguments: Any) -> "LateThreads._Later":
        return self._Later(lambda: function(*arguments))

    def shutdown(self) -> None:
        pass


@pytest.fixture
def late_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writers, "ThreadPoolExecutor", LateThreads)


@pytest.mark.usefixtures("late_threads")
def test_a_directory_that_is_entered_again_is_finished_before(
    target: Path, before_finishing: Callable[[Callable[[bytes], None]], None]
) -> None:
    """So that the mark, which it gets again, stays until the last file is there."""
    marks = []

    def hook(path: bytes) -> None:
        if path.startswith(b"d/late"):
            marks.append((target / "d").stat().st_mode & MARKED)

    before_finishing(hook)
    above = Above(entry(b"d", Kind.DIRECTORY, mode=0o755, mtime_ns=7))
    assert write(target, [above, *many_files(b"d", 16), *file_steps(b"e"), *file_steps(b"d/late")]).kept == []
    assert marks == [MARKED]
    assert (target / "d").stat().st_mtime_ns == 7


class Waiting:
    """How many files are given and not finished, and the most there were."""

    def __init__(self) -> None:
        self.now = self.most = 0


@pytest.fixture
def waiting(
    late_threads: None,
    before_finishing: Callable[[Callable[[bytes], None]], None],
    monkeypatch: pytest.MonkeyPatch,
) -> Waiting:
    """Of threads that begin with nothing before somebody waits for them."""
    waiting, real = Waiting(), writers.Writers.give

    def give(self: writers.Writers, file: OpenFile) -> None:
        waiting.now += 1
        real(self, file)
        waiting.most = max(waiting.most, waiting.now)

    def hook(path: bytes) -> None:
        waiting.now -= 1

    before_finishing(hook)
    monkeypatch.setattr(writers.Writers, "give", give)
    return waiting


def test_no_more_files_wait_than_the_budget_allows_and_none_of_them_is_open(
    target: Path, waiting: Waiting, monkeypatch: pytest.MonkeyPatch
) -> None:
    most_open, real = 0, os.link

    def link(*arguments: Any, **options: Any) -> None:
        nonlocal most_open
        numbers = [number for number in os.listdir("/proc/self/fd") if os.path.lexists(f"/proc/self/fd/{number}")]
        files = [os.readlink(f"/proc/self/fd/{number}") for number in numbers]
        most_open = max(most_open, len([name for name in files if name.startswith(f"{target}/d/#")]))
        real(*arguments, **options)

    monkeypatch.setattr(os, "link", link)
    assert write(target, [*directory_steps(b"d"), *many_files(b"d", 400)], Overwrite.never).kept == []
    assert (most_open, waiting.now) == (1, 0)
    assert 16 < waiting.most <= 9 * 16


def test_no_more_bytes_wait_than_the_budget_allows(target: Path, waiting: Waiting) -> None:
    """Large files do not wait for others to be finished with them."""
    content = bytes(1024 * 1024)
    write(target, [step for number in range(20) for step in file_steps(b"%d" % number, content)])
    assert 1 < waiting.most <= 8


@pytest.mark.usefixtures("late_threads")
def test_no_more_directories_are_open_than_the_budget_allows(target: Path) -> None:
    """Each file that waits has directories of its own."""
    opened: list[int] = []

    class Watched(list[Step]):
        def __iter__(self) -> Iterator[Step]:
            for step in super().__iter__():
                opened.append(len(os.listdir("/proc/self/fd")))
                yield step

    steps: list[Step] = []
    for path in (b"%03d/1/2/3/4/5/6/7/file" % number for number in range(400)):
        steps += [step for end, byte in enumerate(path) if byte == ord("/") for step in directory_steps(path[:end])]
        steps += file_steps(path)
    before = len(os.listdir("/proc/self/fd"))
    missed = Missed()
    writer = TreeWriter(target, Overwrite.never, KEY, missed, Rights())
    writer.write(Window(steps=Watched(steps)))
    writer.close()
    assert missed.kept == []
    assert 200 < max(opened) - before <= 256 + 9 + 1  # the way with the root, and one for the file system
    assert len(list(target.glob("*/1/2/3/4/5/6/7/file"))) == 400


def test_a_further_name_waits_for_the_first_one(target: Path) -> None:
    writer = TreeWriter(target, Overwrite.never, KEY, Missed(), Rights())
    writer.write(Window(steps=[*file_steps(b"a", extras=LINKED), Name(entry(b"b", extras=LINKED), b"a")]))
    writer.close()
    assert writer.unlinked == []
    assert (target / "a").samefile(target / "b")


def test_a_name_that_stays_is_compared_with_a_first_one_that_is_late(target: Path) -> None:
    """What was at the first name is the same file still, until the new one is there."""
    (target / "a").write_bytes(b"older")
    os.link(target / "a", target / "b")
    missed = write(target, [*file_steps(b"a", extras=LINKED), Left(entry(b"b", extras=LINKED), b"a")])
    assert missed.kept == [(b"b", "not one file with its other names any more")]


def test_a_directory_is_not_made_in_the_place_of_a_file_that_is_late(target: Path) -> None:
    assert write(target, [*file_steps(b"x"), *file_steps(b"x/evil")]).kept == [(b"x/evil", "in the way")]
    assert (target / "x").read_bytes() == CONTENT


def test_what_a_thread_cannot_write_is_told_and_the_rest_is_written(target: Path) -> None:
    (target / "taken").mkdir()
    (target / "there").write_bytes(b"mine")
    slot = Slot(7)
    slot.content = b"another"
    other = [Begin(entry(b"other")), Part(slot, 0, 7), file_steps(b"")[-1]]
    long = b"l" * 256
    steps = [*file_steps(b"there"), *other, *file_steps(long), *many_files(b"d", 40), *file_steps(b"taken")]
    missed = write(target, steps, Overwrite.never)
    assert missed.kept == [(b"there", "exists"), (b"other", "damaged"), (long, "not written"), (b"taken", "exists")]
    assert len(os.listdir(target / "d")) == 40
    assert sorted(os.listdir(target)) == ["d", "taken", "there"]


def test_a_directory_that_does_not_answer_any_more_is_told_and_the_rest_is_written(
    target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = write_tree.apply_metadata

    def apply(descriptor: int, of: Entry, rights: Rights) -> list[str]:
        if of.path == b"a":
            raise OSError(errno.ESTALE, "told to fail")
        return real(descriptor, of, rights)

    monkeypatch.setattr(write_tree, "apply_metadata", apply)
    steps = [*directory_steps(b"a"), *many_files(b"a", 3), *directory_steps(b"b", mtime_ns=7), *many_files(b"b", 3)]
    assert write(target, steps).kept == [(b"a", "metadata not set")]
    assert (target / "b").stat().st_mtime_ns == 7
    assert [len(os.listdir(target / name)) for name in ("a", "b")] == [3, 3]


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", refuse(errno.ENOSPC))
        yield


def fill_disk(target: Path) -> None:
    writer = TreeWriter(target, Overwrite.never, KEY, Missed(), Rights())
    steps = [*directory_steps(b"d", mode=0o755, mtime_ns=7), *many_files(b"d", 200)]
    with pytest.raises(Failure, match="the disk restored to is full"):
        writer.write(Window(steps=steps))
    writer.close()
    writer.sync()


@pytest.mark.usefixtures("full_disk")
def test_a_full_disk_ends_the_restore_and_its_threads(target: Path) -> None:
    opened = set(os.listdir("/proc/self/fd"))
    fill_disk(target)
    assert set(os.listdir("/proc/self/fd")) == opened
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("restore-writer")]
    assert os.listdir(target / "d") == []


@pytest.mark.usefixtures("full_disk", "late_threads")
def test_a_full_disk_leaves_no_directory_without_its_metadata(target: Path) -> None:
    """Many files in it wait for their turn still."""
    fill_disk(target)
    status = (target / "d").stat()
    assert (stat.S_IMODE(status.st_mode), status.st_mtime_ns) == (0o755, 7)
