import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.tools.client import second_implementation as second
from tests.tools.client.vectors import load
from tools.client.recovery_code import (
    ALPHABET,
    RecoveryCodeError,
    format_recovery_code,
    generate_recovery_code,
    parse_recovery_code,
)

V = load("slot")["recovery"]


def test_the_frozen_code_holds():
    assert second.recovery_text(V["code"]) == V["text"]
    assert format_recovery_code(V["code"]) == V["text"]
    assert parse_recovery_code(V["text"]) == V["code"]


@given(st.binary(min_size=20, max_size=20))
@settings(max_examples=50, database=None, deadline=None)
def test_every_code_is_written_as_the_second_implementation_does(code):
    text = second.recovery_text(code)
    assert format_recovery_code(code) == text
    assert parse_recovery_code(text) == code


def test_reading_forgives_case_spaces_and_mistakable_letters():
    text = V["text"]
    assert {"0", "1"} <= set(text)
    for written in (
        text.lower(),
        f"  {text}\n",
        text.replace("-", " - "),
        text.replace("-", " "),
        text.replace("-", ""),
        text[:3] + "-" + text[3:] + "-",
        text.replace("0", "O").replace("1", "I"),
        text.replace("0", "o").replace("1", "l"),
    ):
        assert parse_recovery_code(written) == V["code"]


@pytest.mark.parametrize("group", range(8))
@pytest.mark.parametrize("character", range(5))
def test_a_wrong_character_is_named_with_its_group(group, character):
    """A group with one wrong character can pass its check by chance: the wrong character is one that does not."""
    groups = V["text"].split("-")
    for other in ALPHABET:
        wrong = groups[group][:character] + other + groups[group][character + 1 :]
        if wrong[4] != ALPHABET[second.b3(bytes([group]) + wrong[:4].encode())[0] & 31]:
            break
    text = "-".join([*groups[:group], wrong, *groups[group + 1 :]])
    with pytest.raises(RecoveryCodeError, match=f"group {group + 1} "):
        parse_recovery_code(text)


def test_swapped_groups_are_found():
    groups = V["text"].split("-")
    groups[2], groups[3] = groups[3], groups[2]
    with pytest.raises(RecoveryCodeError, match="group 3 "):
        parse_recovery_code("-".join(groups))


@pytest.mark.parametrize("text", ["", "-", V["text"][:-6], V["text"] + "-AAAAA", "é" * 40])
def test_a_code_of_another_length_or_alphabet_is_refused(text):
    with pytest.raises(RecoveryCodeError):
        parse_recovery_code(text)


def test_a_missing_character_is_named_with_its_group():
    with pytest.raises(RecoveryCodeError, match="group 1 of the recovery code has 4 characters, not 5"):
        parse_recovery_code(V["text"][1:])
    with pytest.raises(RecoveryCodeError, match="group 8 "):
        parse_recovery_code(V["text"][:-1])


def test_a_part_of_a_code_is_told_by_its_length():
    with pytest.raises(RecoveryCodeError, match="has 40 letters and digits, this one has 20"):
        parse_recovery_code(V["text"][:23])


def test_a_character_outside_the_alphabet_never_reads_as_another():
    for number in range(8):
        for check in ALPHABET:
            groups = V["text"].split("-")
            groups[number] = "UUUU" + check
            with pytest.raises(RecoveryCodeError):
                parse_recovery_code("-".join(groups))


def test_codes_are_new():
    assert len({generate_recovery_code() for _ in range(10)}) == 10
    assert len(generate_recovery_code()) == 20
