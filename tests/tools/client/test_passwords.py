"""Job passwords: from a file, standard input, a program or the terminal; one line, long enough when new."""

import io
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tools.client.failure import Failure
from tools.client.passwords import PasswordSource, read_new_password, read_password

PASSWORD = "correct horse"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Answers:
    """Types the given answers, and keeps the questions."""

    def __init__(self, *answers: str) -> None:
        self.answers: Iterator[str] = iter(answers)
        self.questions: list[str] = []

    def __call__(self, question: str) -> str:
        self.questions.append(question)
        return next(self.answers)


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", Terminal())


@pytest.mark.parametrize("ending", ["", "\n", "\r\n"])
def test_a_file_holds_one_line(tmp_path: Path, ending: str) -> None:
    file = tmp_path / "p"
    file.touch(0o600)
    file.write_bytes(f" {PASSWORD} ä".encode() + ending.encode())
    assert read_new_password(PasswordSource(str(file)), "job j") == f" {PASSWORD} ä"


def test_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"correct horse\n")))
    assert read_password(PasswordSource("-"), "job j") == PASSWORD


def test_a_program_without_shell_or_input(tmp_path: Path) -> None:
    script = "import sys; print(sys.argv[1] + str(len(sys.stdin.read())))"
    command = shlex.join([sys.executable, "-c", script, "$HOME;correct"])
    assert read_password(PasswordSource(command=command), "job j") == "$HOME;correct0"


def test_a_program_that_fails() -> None:
    command = shlex.join([sys.executable, "-c", "print('correct horse'); raise SystemExit(7)"])
    with pytest.raises(Failure, match="ended with exit code 7"):
        read_password(PasswordSource(command=command), "job j")
    with pytest.raises(Failure, match="cannot be started"):
        read_password(PasswordSource(command="/does/not/exist"), "job j")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "is empty"),
        (b"\n", "is empty"),
        (b"correct horse\nbattery", "more than one line"),
        (b"correct horse\n\n", "more than one line"),
        (b"\xff\xfe\xff\xfe\xff\xfe\xff\xfe", "not UTF-8"),
        (b"x" * 4097, "more than 4096 bytes"),
    ],
)
def test_a_wrong_file_is_refused_without_showing_it(tmp_path: Path, content: bytes, sentence: str) -> None:
    file = tmp_path / "p"
    file.touch(0o600)
    file.write_bytes(content)
    with pytest.raises(Failure, match=sentence) as caught:
        read_password(PasswordSource(str(file)), "job j")
    assert caught.value.exit_code == 2
    assert "horse" not in caught.value.message + caught.value.hint


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(Failure, match="cannot be read"):
        read_password(PasswordSource(str(tmp_path / "none")), "job j")


def test_one_source_only() -> None:
    with pytest.raises(Failure, match="exclude each other"):
        read_password(PasswordSource("a", "b"), "job j")


def test_without_a_source_or_a_terminal_the_hint_names_the_options(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    with pytest.raises(Failure, match="no terminal to ask") as caught:
        read_password(PasswordSource(), "job j")
    assert "--password-file" in caught.value.hint


@pytest.mark.usefixtures("terminal")
def test_a_terminal_is_asked_once_for_an_old_password() -> None:
    answers = Answers("short")
    assert read_password(PasswordSource(), "job j", answers) == "short"
    assert answers.questions == ["Password of job j: "]


@pytest.mark.usefixtures("terminal")
def test_a_terminal_is_asked_twice_for_a_new_password() -> None:
    assert read_new_password(PasswordSource(), "job j", Answers(PASSWORD, PASSWORD)) == PASSWORD
    with pytest.raises(Failure, match="differ"):
        read_new_password(PasswordSource(), "job j", Answers(PASSWORD, PASSWORD + "x"))


@pytest.mark.usefixtures("terminal")
def test_a_new_password_is_long_enough() -> None:
    with pytest.raises(Failure, match="has 7 characters, it needs at least 8") as caught:
        read_new_password(PasswordSource(), "job j", Answers("1234567", "1234567"))
    assert "longer" in caught.value.hint
    assert read_new_password(PasswordSource(), "job j", Answers("12345678", "12345678")) == "12345678"


def test_a_password_file_that_others_may_read_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "p"
    file.write_text(PASSWORD)
    file.chmod(0o640)
    with pytest.raises(Failure, match="may be read by other users") as caught:
        read_password(PasswordSource(str(file)), "job j")
    assert caught.value.exit_code == 5
    assert PASSWORD not in str(caught.value)


def test_the_hint_names_the_option_of_the_password_that_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: False)
    with pytest.raises(Failure, match="no terminal to ask for the password of job j, the new one") as caught:
        read_new_password(PasswordSource(option="--new-password"), "job j, the new one")
    assert "--new-password-file FILE" in caught.value.hint
    assert "--new-password-command COMMAND" in caught.value.hint
