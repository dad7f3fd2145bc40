"""The journal of a run gives back what was acknowledged, as it was written, or less: never anything else."""

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tools.agent.cache.belonging import Belonging
from tools.agent.cache.cached_row import CachedRow
from tools.agent.run.run_journal import ExtentsPart, Piece, ResumableRun, RunJournal
from tools.agent.upload.sent_counts import SentCounts

BELONGING = Belonging(b"k" * 16, 1, b"m" * 16, b"j" * 16, 1)
RUN = ResumableRun(b"r" * 16, b"b" * 32)


def row(number: int) -> CachedRow:
    return CachedRow(b"key-%d" % number, number, 1, 2, 3, b"prefix", b"e" * 40, 0, None, 7)


def write(path: Path) -> list[Piece]:
    """Two acknowledged pieces with a part of extents between them, and one that is not acknowledged."""
    journal = RunJournal(path, BELONGING)
    journal.begin(RUN)
    journal.add_rows([row(1), row(2)])
    journal.acknowledge(journal.rows_end, SentCounts(1, 20, 300))
    journal.add_extents(b"key-3", 1, b"x" * 40)
    journal.add_rows([row(3)])
    journal.acknowledge(journal.rows_end, SentCounts(4, 50, 600))
    journal.add_rows([row(4)])
    journal.close()
    return [[row(1), row(2)], ExtentsPart(b"key-3", 1, b"x" * 40), [row(3)]]


def read(path: Path) -> list[Piece]:
    journal = RunJournal(path, BELONGING)
    found = list(journal.pieces())
    journal.close()
    return found


def test_it_gives_back_what_was_acknowledged(tmp_path: Path) -> None:
    written = write(tmp_path / "journal")
    assert read(tmp_path / "journal") == written
    assert read(tmp_path / "journal") == written
    for _ in range(2):
        journal = RunJournal(tmp_path / "journal", BELONGING)
        assert (journal.run, journal.sent) == (RUN, SentCounts(4, 50, 600))
        journal.close()


def test_another_run_has_sent_nothing(tmp_path: Path) -> None:
    write(tmp_path / "journal")
    journal = RunJournal(tmp_path / "journal", BELONGING)
    journal.begin(RUN._replace(base=None))
    assert journal.sent == SentCounts(4, 50, 600)
    journal.begin(ResumableRun(b"R" * 16, None))
    assert journal.sent == SentCounts()
    journal.close()
    again = RunJournal(tmp_path / "journal", BELONGING)
    assert again.sent == SentCounts()
    again.close()


def test_a_flipped_bit_anywhere_costs_rows_and_changes_none(tmp_path: Path) -> None:
    written = write(tmp_path / "journal")
    whole = (tmp_path / "journal").read_bytes()
    for at in range(len(whole)):
        (tmp_path / "flipped").write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        found = read(tmp_path / "flipped")
        assert found == written[: len(found)]


def test_an_end_anywhere_costs_rows_and_changes_none(tmp_path: Path) -> None:
    written = write(tmp_path / "journal")
    whole = (tmp_path / "journal").read_bytes()
    for end in range(len(whole)):
        (tmp_path / "cut").write_bytes(whole[:end])
        found = read(tmp_path / "cut")
        assert found == written[: len(found)]


def test_what_the_end_of_a_run_wrote_last_does_not_count(tmp_path: Path) -> None:
    journal = RunJournal(tmp_path / "journal", BELONGING)
    journal.begin(RUN)
    journal.add_rows([row(1)])
    journal.acknowledge(journal.rows_end, SentCounts(4, 50, 600))
    journal.add_extents(b"key-2", 1, b"x" * 40)
    journal.end_run()
    journal.close()
    again = RunJournal(tmp_path / "journal", BELONGING)
    assert (list(again.pieces()), again.run) == ([[row(1)]], None)
    again.close()


class Killed(BaseException):
    """Nothing of the process runs after it."""


CHANGES = ("write", "ftruncate", "replace")


def fail_from(monkeypatch: pytest.MonkeyPatch, number: int, failure: BaseException) -> list[str]:
    """From this change of a file on each one fails, a write after half of it. Returns the changes as they come."""
    made: list[str] = []

    def failing(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def change(*values: Any) -> Any:
            made.append(name)
            if len(made) < number:
                return real(*values)
            if name == "write" and len(made) == number:
                real(values[0], bytes(values[1])[: len(values[1]) // 2])
            raise failure

        return change

    for name in CHANGES:
        monkeypatch.setattr(os, name, failing(name, getattr(os, name)))
    return made


def state(path: Path) -> tuple[list[Piece], bool, ResumableRun | None, SentCounts]:
    journal = RunJournal(path, BELONGING)
    found = list(journal.pieces()), journal.has_rows, journal.run, journal.sent
    journal.close()
    return found


@pytest.mark.parametrize("failure", [OSError(errno.ENOSPC, "full"), Killed()], ids=["full", "killed"])
@pytest.mark.parametrize("is_ended", [False, True], ids=["going-on", "ended"])
@pytest.mark.parametrize("tail", ["none", "rows", "half"])
def test_an_open_that_is_broken_off_forgets_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tail: str, is_ended: bool, failure: BaseException
) -> None:
    path = tmp_path / "journal"
    rows, end = [row(1), row(2)], None if is_ended else RUN
    sent = SentCounts() if is_ended else SentCounts(4, 50, 600)
    for number in range(1, 6 if tail == "rows" else 2):
        path.unlink(missing_ok=True)
        journal = RunJournal(path, BELONGING)
        journal.begin(RUN)
        journal.add_rows(rows)
        journal.acknowledge(journal.rows_end, SentCounts(4, 50, 600))
        if tail == "rows":
            journal.add_rows([row(3)])
        if is_ended:
            journal.end_run()
        journal.close()
        if tail == "half":
            path.write_bytes(path.read_bytes() + b"\x40\0\0\0half")
        with monkeypatch.context() as patch:
            made = fail_from(patch, number, failure)
            try:
                broken = RunJournal(path, BELONGING)
            except Killed:
                pass
            else:
                assert list(broken.pieces()) == [rows]
                broken.close()
            assert len(made) >= number
        for _ in range(2):
            assert state(path) == ([rows], True, end, sent)


def test_rows_that_nobody_acknowledged_do_not_count_below_a_later_mark(tmp_path: Path) -> None:
    written = write(tmp_path / "journal")
    journal = RunJournal(tmp_path / "journal", BELONGING)
    journal.add_rows([row(5)])
    journal.acknowledge(journal.rows_end, SentCounts(5, 60, 700))
    journal.close()
    assert state(tmp_path / "journal") == ([*written, [row(5)]], True, RUN, SentCounts(5, 60, 700))
    assert os.listdir(tmp_path) == ["journal"]
