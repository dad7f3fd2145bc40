"""Names that people give, and ids as text."""

import pytest

from protocol.errors import RemoteProtocolError
from protocol.identifiers import check_id, check_name, id_from_hex, id_to_hex


@pytest.mark.parametrize("name", ["a", "Büro Süd", "nas-1 (alt)", "猫", "x" * 64])
def test_names_of_people_are_fine(name: str):
    assert check_name(name, "name") == name


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("", "0 characters"),
        ("x" * 65, "65 characters"),
        (" a", "space"),
        ("a ", "space"),
        ("a/b", "slash"),
        ("a\nb", r"U\+000A"),
        ("a\0b", r"U\+0000"),
        ("a\u202eb", r"U\+202E"),
        ("a\u2066b", r"U\+2066"),
        ("a\u200fb", r"U\+200F"),
        ("a\u200bb", r"U\+200B"),
    ],
)
def test_other_names_are_refused_with_the_field_and_the_reason(name: str, words: str):
    with pytest.raises(RemoteProtocolError, match=f"^computer .*{words}"):
        check_name(name, "computer")


def test_ids_as_text():
    assert id_from_hex("00" * 15 + "ff", "job_id") == bytes(15) + b"\xff"
    assert id_to_hex(bytes(15) + b"\xff") == "00" * 15 + "ff"
    with pytest.raises(RemoteProtocolError, match="job_id is not hexadecimal"):
        id_from_hex("zz", "job_id")
    with pytest.raises(RemoteProtocolError, match="job_id has 1 bytes, it needs 16"):
        id_from_hex("00", "job_id")
    with pytest.raises(RemoteProtocolError, match="chunk has 16 bytes, it needs 32"):
        check_id(bytes(16), "chunk", 32)
