"""A program's groups and commands: `--json` in every place, errors as sentence, hint and exit code."""

import json
import subprocess
import sys

import click
import pytest

from tools.client.failure import Failure
from tools.client.output import Output
from tools.client.program import Group, Part, Program


@click.group(cls=Program, name="program", parts={"lazy": Part("tests.does_not_exist", "Not loaded for help.")})
@click.option("--place")
def program(place: str | None) -> None:
    """A program for these tests."""


@program.group("noun", cls=Group)
def noun() -> None:
    """Its group."""


@noun.command("verb")
@click.argument("word")
@click.pass_context
def verb(ctx: click.Context, word: str) -> int | None:
    """Its command."""
    if word == "fail":
        raise Failure("conflict", "the word is\x1b[2J taken", "take another")
    if word == "interrupt":
        raise KeyboardInterrupt
    if word == "bug":
        raise ZeroDivisionError("by zero")
    output: Output = ctx.find_root().obj
    output.show({"word": word}, lambda: f"The word is {word}.")
    return 3 if word == "warn" else None


@pytest.mark.parametrize(
    "words",
    [
        ["--json", "noun", "verb", "x"],
        ["noun", "--json", "verb", "x"],
        ["noun", "verb", "--json", "x"],
        ["noun", "verb", "x", "--json"],
    ],
)
def test_json_in_every_place(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert program.run(words) == 0
    assert json.loads(capsys.readouterr().out) == {"word": "x"}


def test_text_for_people_and_the_commands_own_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    assert program.run(["noun", "verb", "warn"]) == 3
    assert capsys.readouterr().out == "The word is warn.\n"


def test_a_failure_goes_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert program.run(["noun", "verb", "fail"]) == 6
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == "error: the word is\\x1b[2J taken\nhint: take another\n"


def test_a_failure_as_the_last_json_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert program.run(["noun", "verb", "fail", "--json"]) == 6
    assert json.loads(capsys.readouterr().out.splitlines()[-1]) == {
        "type": "error",
        "code": "conflict",
        "message": "the word is\x1b[2J taken",
        "hint": "take another",
    }


@pytest.mark.parametrize(
    "words", [["noun", "verb"], ["noun", "verb", "a", "b"], ["nothing"], ["noun", "verb", "--none", "x"]]
)
def test_wrong_words_are_usage(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert program.run([*words, "--json"]) == 2
    said = capsys.readouterr()
    assert json.loads(said.out)["code"] == "usage"
    assert "--help" in said.err


def test_an_option_of_the_program_that_stands_after_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert program.run(["noun", "verb", "x", "--place", "here"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: no such option '--place'\n") or said.startswith("error: no such option: --place\n")
    assert "hint: --place stands before the command: program --place … noun verb" in said


def test_a_fault_of_the_program_shows_where(capsys: pytest.CaptureFixture[str]) -> None:
    assert program.run(["noun", "verb", "bug", "--json"]) == 1
    said = capsys.readouterr()
    assert json.loads(said.out)["code"] == "internal"
    assert "Traceback" in said.err


def test_help_loads_no_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert program.run(["--help"]) == 0
    said = capsys.readouterr().out
    assert "Not loaded for help." in said
    assert "Its group." in said


def test_calling_the_program_exits() -> None:
    with pytest.raises(SystemExit) as caught:
        program()
    assert caught.value.code in (0, 2)


def test_an_interrupt_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert program.run(["noun", "verb", "interrupt"]) == 130
    assert capsys.readouterr().err == "error: interrupted\n"


_WITH_A_CYCLE = """
import os
from tests.tools.client.test_program import program
class Cycle:
    def __del__(self):
        os.write(1, b"looked for")
cycle = Cycle()
cycle.itself = cycle
program.main()
"""


def test_no_cycles_are_looked_for_at_the_end() -> None:
    """All that was loaded would be gone through, for what ends with the process anyway."""
    command = [sys.executable, "-c", _WITH_A_CYCLE, "noun", "verb", "x"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "The word is x.\n")
