"""Tables for people: aligned, nothing that says nothing, nothing that a terminal would obey."""

from tools.client.tables import Column, fields_text, table_text

COLUMNS = (Column("NAME"), Column("SIZE", right=True), Column("SEEN"), Column("STATE"))


def test_columns_are_aligned_and_empty_ones_left_out() -> None:
    rows = [("a", "10.0 kB", "-", "stored"), ("Übung", "5 B", "-", "")]
    assert table_text(COLUMNS, rows, "none").splitlines() == [
        "NAME      SIZE  STATE",
        "a      10.0 kB  stored",
        "Übung      5 B",
    ]


def test_long_names_are_not_cut() -> None:
    assert "n" * 300 in table_text(COLUMNS, [("n" * 300, "1 B", "-", "x")], "none")


def test_without_rows_there_is_a_sentence() -> None:
    assert table_text(COLUMNS, [], "There is none.") == "There is none."


def test_control_characters_do_not_get_through() -> None:
    hostile = "\x1b]0;x\x07\x9b31m\u202e\n"
    shown = table_text(COLUMNS, [(hostile, "1", "-", "x")], "") + fields_text([("Name", hostile)])
    assert shown.replace("\n", "").isprintable()
