"""Nothing that a name contains reaches a terminal as a command to it."""

import pytest

from tools.client.tables import Column, fields_text, frame_text, table_text
from tools.client.terminal_text import escape_path, escape_text, unescape_path


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain name", "plain name"),
        ("Hüllhorst 北", "Hüllhorst 北"),
        ("a\x1b[2Jb\n", "a\\x1b[2Jb\\x0a"),
        ("\x9b", "\\u009b"),
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


ODD_NAMES = [
    b"\\xff",
    b"\xff",
    "\x9b".encode(),
    b"\x9b",
    b"\\",
    b"\\\\x41",
    b"a\nb",
    "\u202e\U000e0041 é".encode(),
    b"plain",
]


@pytest.mark.parametrize("path", ODD_NAMES)
def test_what_is_shown_of_a_path_leads_back_to_its_bytes(path: bytes) -> None:
    assert unescape_path(escape_path(path)) == path


def test_no_two_paths_look_the_same() -> None:
    assert len({escape_path(path) for path in ODD_NAMES}) == len(ODD_NAMES)
    assert escape_path(b"\\xff") == r"\\xff"


@pytest.mark.parametrize("text", ["\\", "a\\q", r"\xF", r"\u12", r"\\\x", r"\udc80", r"\Uffffffff"])
def test_a_backslash_that_stands_for_nothing_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  (also those of Python)
        unescape_path(text)


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
