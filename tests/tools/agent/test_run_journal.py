"""The journal of a run gives back what was acknowledged, as it was written, or less: never anything else."""

from pathlib import Path

from tools.agent.belonging import Belonging
from tools.agent.cached_row import CachedRow
from tools.agent.run_journal import ExtentsPart, Piece, ResumableRun, RunJournal
from tools.agent.sent_counts import SentCounts

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
