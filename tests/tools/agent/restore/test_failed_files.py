"""A file that cannot be restored costs its own content: no memory, and no other file of its batch."""

import errno
import gc
import os
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.tools.agent.restore.test_write_tree import KEY, directory_steps, entry, file_steps, target, write
from tests.tools.agent.restore.test_writers import before_finishing, many_files
from tools.agent.missed import Missed
from tools.agent.restore.metadata import Rights
from tools.agent.restore.open_file import OpenFile
from tools.agent.restore.survey import Overwrite
from tools.agent.restore.target import Target
from tools.agent.restore.write_tree import TreeWriter
from tools.agent.safeset.window import Begin, End, Part, Slot, Step, Window
from tools.client.record_format import IntegrityError

__all__ = ["before_finishing", "target"]
GOOD = b"good"
LOST = IntegrityError


class Watched(bytearray):
    """Content that tells when nobody holds it any more, which bytes cannot."""


@pytest.fixture(autouse=True)
def no_collections() -> Iterator[None]:
    """A restore has few: what is not freed without them stays for long."""
    gc.disable()
    yield
    gc.enable()


def parts_with(last: bytes | IntegrityError) -> tuple[list[Part], "weakref.ref[Watched]"]:
    """Those of a file whose first chunk is good, and that chunk's content."""
    good, other = Slot(len(GOOD)), Slot(len(GOOD))
    content = Watched(GOOD)
    good.content, other.content = content, last
    return [Part(good, 0, len(GOOD)), Part(other, 0, len(GOOD))], weakref.ref(content)


@pytest.mark.parametrize(("size", "last"), [(8, LOST("lost")), (3, GOOD), (8, b"evil")], ids=["lost", "long", "other"])
def test_a_file_that_failed_holds_no_content(target: Path, size: int, last: bytes | IntegrityError) -> None:
    root = Target(target)
    root.make(b"")
    file = OpenFile(entry(b"a", content=(GOOD * 2)[:size]), root.hold(), KEY)
    parts, content = parts_with(last)
    for part in parts:
        file.add(part)
    del part, parts
    file.finish(Overwrite.never, Rights())
    assert isinstance(file.error, IntegrityError)
    assert content() is None
    root.let_go(file.directory)
    root.close()


@pytest.mark.parametrize("end", [[End()], []], ids=["whole", "half"])
def test_what_a_window_holds_is_freed_where_a_chunk_of_it_is_lost(target: Path, end: list[Step]) -> None:
    missed = Missed()
    writer = TreeWriter(target, Overwrite.never, KEY, missed, Rights())
    parts, content = parts_with(LOST("lost"))
    window = Window(steps=[Begin(entry(b"a", content=GOOD * 2)), *parts, *end])
    writer.write(window)
    writer.close()
    del parts, window
    assert missed.kept == [(b"a", "damaged")]
    assert content() is None


def test_a_close_that_fails_hides_no_reason_and_costs_no_other_file(
    target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some file systems of networks write when a file is closed. Here it is one that had no name yet."""
    real, failed = os.close, []

    def close(descriptor: int) -> None:
        is_nameless = os.fstat(descriptor).st_nlink == 0
        real(descriptor)
        if is_nameless:
            failed.append(descriptor)
            raise OSError(errno.EIO, "told to fail")

    monkeypatch.setattr(os, "close", close)
    evil = [Begin(entry(b"d/evil", content=b"another")), *file_steps(b"d/evil")[1:]]
    assert write(target, [*directory_steps(b"d"), *evil, *many_files(b"d", 15)]).kept == [(b"d/evil", "damaged")]
    assert len(failed) == 1
    assert len(os.listdir(target / "d")) == 15


def test_an_error_of_a_writer_is_that_of_one_file_and_the_rest_of_its_batch_is_written(
    target: Path, before_finishing: Callable[[Callable[[bytes], None]], None]
) -> None:
    def hook(path: bytes) -> None:
        if path == b"d/000":
            raise OSError(errno.EIO, "told to fail")

    before_finishing(hook)
    assert write(target, [*directory_steps(b"d"), *many_files(b"d", 16)]).kept == [(b"d/000", "not written")]
    assert len(os.listdir(target / "d")) == 15


def test_a_file_of_which_nothing_is_known_is_told_as_not_written(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = OpenFile.finish

    def finish(file: OpenFile, *arguments: Any) -> None:
        if file.entry.path != b"d/003":
            real(file, *arguments)

    monkeypatch.setattr(OpenFile, "finish", finish)
    assert write(target, [*directory_steps(b"d"), *many_files(b"d", 16)]).kept == [(b"d/003", "not written")]
