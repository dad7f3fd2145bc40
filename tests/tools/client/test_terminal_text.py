"""Nothing that a name contains reaches a terminal as a command to it."""

import pytest

from tools.client.tables import Column, fields_text, frame_text, table_text
from tools.client.terminal_text import escape_path, escape_text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain name", "plain name"),
        ("Hüllhorst 北", "Hüllhorst 北"),
        ("a\x1b[2Jb\n", "a\\x1b[2Jb\\x0a"),
        ("\x9b", "\\x9b"),
        ("invoice\u202etxt.exe", "invoice\\u202etxt.exe"),
        ("zero\u200bwidth\u2028", "zero\\u200bwidth\\u2028"),
        ("\udc80", "\\udc80"),
        ("tag\U000e0041", "tag\\U000e0041"),
    ],
)
def test_escapes(text: str, shown: str) -> None:
    assert escape_text(text) == shown


def test_paths() -> None:
    assert escape_path(b"/caf\xc3\xa9/\xff\x07") == "/café/\\xff\\x07"


def test_tables_are_aligned_and_escape_their_cells() -> None:
    text = table_text([Column("NAME"), Column("SIZE", right=True)], [("a\x1b[1m[red]", "1"), ("b", "1,000")], "none")
    assert text.splitlines() == ["NAME            SIZE", "a\\x1b[1m[red]      1", "b              1,000"]


def test_an_empty_table_is_a_sentence() -> None:
    assert table_text([Column("NAME")], [], "There is none.") == "There is none."


def test_a_row_is_a_line_however_long() -> None:
    assert len(table_text([Column("NAME")], [("word " * 200,)], "").splitlines()) == 2


def test_fields_and_frames() -> None:
    assert fields_text([("name", "\x07x"), ("longer name", "y")]).splitlines() == [
        "name         \\x07x",
        "longer name  y",
    ]
    assert "\\u202e" in frame_text("Title", ["a\u202eb"])
